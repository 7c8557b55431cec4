//! What waits to be written to one socket. The room puts messages in and never waits; when too many or too
//! large ones wait, the socket is cut off, never the room.

use protocol::limits::{OUTBOX_BYTES, OUTBOX_MESSAGES};
use protocol::server::close;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The room's end and the socket's end of the same queue.
#[derive(Clone, Default)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    cut: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Utf8Bytes>,
    bytes: usize,
    close: Option<u16>,
    /// What the client's goodbye is answered with: its code, where it had one.
    close_answer: Option<Option<u16>>,
    /// What the client's newest ping is answered with; older ones need no answer (RFC 6455 §5.5.3).
    pong: Option<Vec<u8>>,
    is_cut: bool,
}

/// What to write next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This message.
    Text(Utf8Bytes),
    /// An answer to a ping.
    Pong(Vec<u8>),
    /// A close frame with this code, and nothing more.
    Close(u16),
}

/// The socket is too far behind and has been cut off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooSlow;

impl Outbox {
    /// Puts a message at the end. After a close it goes nowhere.
    pub(crate) fn push(&self, text: Utf8Bytes) -> Result<(), TooSlow> {
        let mut state = self.lock();
        if state.close.is_some() {
            return Ok(());
        }
        if state.queue.len() >= OUTBOX_MESSAGES || state.bytes + text.len() > OUTBOX_BYTES {
            drop(state);
            self.cut(close::TOO_SLOW);
            return Err(TooSlow);
        }
        state.bytes += text.len();
        state.queue.push_back(text);
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Closes the socket once everything before is written. The first close counts.
    pub(crate) fn close(&self, code: u16) {
        let mut state = self.lock();
        state.close.get_or_insert(code);
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Answers a ping, before everything that waits.
    pub(crate) fn answer_ping(&self, said: Vec<u8>) {
        self.lock().pong = Some(said);
        self.shared.changed.notify_one();
    }

    /// Notes the client's goodbye, which is answered when the socket is closed.
    pub(crate) fn answer_close(&self, code: Option<u16>) {
        self.lock().close_answer = Some(code);
    }

    /// With what the client's goodbye is to be answered, if there was one.
    pub(crate) fn close_answer(&self) -> Option<Option<u16>> {
        self.lock().close_answer
    }

    /// Closes the socket now and drops what waits.
    pub(crate) fn cut(&self, code: u16) {
        let mut state = self.lock();
        state.close.get_or_insert(code);
        state.is_cut = true;
        state.queue.clear();
        state.bytes = 0;
        drop(state);
        self.shared.changed.notify_one();
        self.shared.cut.notify_one();
    }

    /// What to write next, if there is anything.
    pub(crate) fn try_next(&self) -> Option<Next> {
        let mut state = self.lock();
        if let Some(said) = state.pong.take() {
            return Some(Next::Pong(said));
        }
        if let Some(text) = state.queue.pop_front() {
            state.bytes -= text.len();
            if state.queue.is_empty() && state.queue.capacity() > KEPT {
                state.queue = VecDeque::new();
            }
            return Some(Next::Text(text));
        }
        state.close.map(Next::Close)
    }

    /// What to write next. Only one may wait here.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.shared.changed.notified().await;
        }
    }

    /// Returns when the socket is cut off, even while a write to it does not end.
    pub(crate) async fn is_cut(&self) {
        loop {
            if self.lock().is_cut {
                return;
            }
            self.shared.cut.notified().await;
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// With what code the socket is to be closed, once it is.
    pub(crate) fn close_code(&self) -> Option<u16> {
        self.lock().close
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way, so what a poisoned lock holds is whole.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places of an empty queue that are kept. More stay with every socket after a burst, such as hundreds who join;
/// fewer are asked for anew by every lively chat.
const KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Utf8Bytes {
        "x".repeat(length).into()
    }

    #[test]
    fn messages_come_out_in_order_and_the_close_last() {
        let outbox = Outbox::default();
        outbox.push("a".into()).unwrap();
        outbox.push("b".into()).unwrap();
        outbox.close(close::KICKED);
        outbox.push("after the close".into()).unwrap();
        outbox.close(close::DONE);
        let next = || outbox.try_next();
        assert_eq!(next(), Some(Next::Text("a".into())));
        assert_eq!(next(), Some(Next::Text("b".into())));
        assert_eq!(next(), Some(Next::Close(close::KICKED)), "the first close counts");
    }

    #[test]
    fn a_ping_is_answered_first_and_only_the_newest() {
        let outbox = Outbox::default();
        outbox.push("a".into()).unwrap();
        outbox.answer_ping(b"older".to_vec());
        outbox.answer_ping(b"newest".to_vec());
        assert_eq!(outbox.try_next(), Some(Next::Pong(b"newest".to_vec())));
        assert_eq!(outbox.try_next(), Some(Next::Text("a".into())));
        assert_eq!(outbox.try_next(), None);
        outbox.answer_close(None);
        assert_eq!((outbox.close_answer(), outbox.close_code()), (Some(None), None));
    }

    #[test]
    fn too_many_messages_cut_the_socket_off() {
        let outbox = Outbox::default();
        for _ in 0..OUTBOX_MESSAGES {
            outbox.push(text(1)).unwrap();
        }
        assert_eq!(outbox.push(text(1)), Err(TooSlow));
        assert_eq!(outbox.try_next(), Some(Next::Close(close::TOO_SLOW)), "what waited is dropped");
        assert_eq!(outbox.push(text(1)), Ok(()), "and nothing waits any more");
        assert_eq!(outbox.try_next(), Some(Next::Close(close::TOO_SLOW)));
    }

    #[test]
    fn too_many_bytes_cut_the_socket_off_and_written_ones_do_not_count() {
        let outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(text(OUTBOX_BYTES / 2)).unwrap();
            outbox.push(text(OUTBOX_BYTES / 2)).unwrap();
            assert!(matches!(outbox.try_next(), Some(Next::Text(_))));
            assert!(matches!(outbox.try_next(), Some(Next::Text(_))));
        }
        outbox.push(text(OUTBOX_BYTES)).unwrap();
        assert_eq!(outbox.push(text(1)), Err(TooSlow));
    }

    #[test]
    fn a_queue_that_was_long_is_short_again_once_it_is_empty() {
        let outbox = Outbox::default();
        for _ in 0..OUTBOX_MESSAGES {
            outbox.push(text(1)).unwrap();
        }
        while outbox.try_next().is_some() {}
        assert!(outbox.lock().queue.capacity() <= KEPT);
    }

    #[tokio::test]
    async fn a_waiting_writer_hears_of_messages_closes_and_cuts() {
        let outbox = Outbox::default();
        let (next, ()) = tokio::join!(outbox.next(), async { outbox.push("a".into()).unwrap() });
        assert_eq!(next, Next::Text("a".into()));
        let (next, ()) = tokio::join!(outbox.next(), async { outbox.close(close::DONE) });
        assert_eq!(next, Next::Close(close::DONE));
        tokio::join!(outbox.is_cut(), async { outbox.cut(close::TOO_SLOW) });
    }
}
