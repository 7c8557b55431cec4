//! Which sockets a session has opened, so that whoever signs out is out of every room at once. A lock, because the
//! sockets of one session are in many rooms and no room's task knows of sessions.

use protocol::UserId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use uuid::Uuid;

/// The sockets of every session. Cheap to clone; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct SignedIn {
    sessions: Arc<Mutex<HashMap<Uuid, Session>>>,
}

struct Session {
    user: UserId,
    /// As many as the person has sockets.
    sockets: Vec<Arc<Notify>>,
}

/// A socket's place among those of its session, for as long as it lives.
pub(crate) struct Held {
    signed_in: SignedIn,
    session: Uuid,
    over: Arc<Notify>,
}

impl SignedIn {
    /// Notes a socket. Whether the session still lives is asked after that, so that no end of it is missed.
    pub(crate) fn hold(&self, user: UserId, session: Uuid) -> Held {
        let over = Arc::new(Notify::new());
        let mut sessions = self.lock();
        let of_session =
            sessions.entry(session).or_insert_with(|| Session { user, sockets: Vec::new() });
        of_session.sockets.push(Arc::clone(&over));
        drop(sessions);
        Held { signed_in: self.clone(), session, over }
    }

    /// The session is over, and so are its sockets.
    pub(crate) fn end(&self, session: Uuid) {
        if let Some(session) = self.lock().get(&session) {
            session.end();
        }
    }

    /// Every session of a person is over.
    pub(crate) fn end_of(&self, user: UserId) {
        self.lock().values().filter(|session| session.user == user).for_each(Session::end);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Session>> {
        // Nothing under the lock panics half way, so what a poisoned one holds is whole.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn end(&self) {
        self.sockets.iter().for_each(|socket| socket.notify_one());
    }
}

impl Held {
    /// Returns when the session is over.
    pub(crate) async fn is_over(&self) {
        self.over.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut sessions = self.signed_in.lock();
        if let Some(session) = sessions.get_mut(&self.session) {
            session.sockets.retain(|socket| !Arc::ptr_eq(socket, &self.over));
            if session.sockets.is_empty() {
                sessions.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_over(held: &Held) -> bool {
        held.is_over().now_or_never().is_some()
    }

    #[test]
    fn the_end_of_a_session_reaches_its_sockets_and_no_others() {
        let signed_in = SignedIn::default();
        let [ada, bob] = [1, 2].map(|n| UserId(Uuid::from_u128(n)));
        let [phone, laptop, other] = [3, 4, 5].map(Uuid::from_u128);
        let [first, second] = [0, 1].map(|_| signed_in.hold(ada, phone));
        let elsewhere = signed_in.hold(ada, laptop);
        let stranger = signed_in.hold(bob, other);
        signed_in.end(phone);
        assert_eq!([&first, &second, &elsewhere].map(is_over), [true, true, false]);
        signed_in.end_of(ada);
        assert_eq!([&elsewhere, &stranger].map(is_over), [true, false]);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let signed_in = SignedIn::default();
        let held = signed_in.hold(UserId(Uuid::from_u128(1)), Uuid::from_u128(2));
        drop(held);
        assert!(signed_in.lock().is_empty());
    }
}
