//! Tests of somebody's connection: their own media, published into a room of their own that stands in no store and
//! that nobody else can enter, and watched again. Nothing else is ever sent back, and only along a path that has
//! passed its checks, so it is no reflector for strangers.

use crate::app::ApiError;
use crate::room::{Place, Room};
use crate::{Identity, Signaling};
use protocol::limits::{ANSWER_WITHIN, CHECKUP_LASTS, MAX_CHECKUPS, MAX_CHECKUPS_EACH};
use protocol::rest::{AccountRole, Checkup, CheckupRequest};
use protocol::{ErrorCode, ParticipantId, RoomId, UserId};
use sfu::{Command, Event, TrackNames};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use uuid::Uuid;

/// The tests that run now. A lock, held for a line: the media thread's events must find them without waiting.
#[derive(Default)]
pub(crate) struct Checkups {
    running: Mutex<HashMap<u32, Running>>,
}

struct Running {
    id: Uuid,
    room: RoomId,
    user: UserId,
    /// Tells the answers of the media plane.
    heard: mpsc::UnboundedSender<Event>,
}

impl Checkups {
    /// Notes one. Whoever has too many loses the oldest, which is returned.
    fn begin(&self, index: u32, running: Running) -> Result<Option<RoomId>, ApiError> {
        let mut all = self.lock();
        let own = || all.iter().filter(|(_, other)| other.user == running.user);
        let oldest =
            own().map(|(index, _)| *index).min().filter(|_| own().count() >= MAX_CHECKUPS_EACH);
        let ended = oldest.and_then(|oldest| all.remove(&oldest)).map(|ended| ended.room);
        if all.len() >= MAX_CHECKUPS {
            let reason = "too many connections are tested now, try again in a minute";
            return Err(ApiError::new(ErrorCode::Unavailable, reason));
        }
        all.insert(index, running);
        Ok(ended)
    }

    /// Takes an event of the media plane that no room knows.
    pub(crate) fn media_event(&self, index: u32, event: Event) {
        if let Some(running) = self.lock().get(&index) {
            // Nobody waits for more than the two answers.
            running.heard.send(event).ok();
        }
    }

    /// Ends one; says which room was its own.
    fn end(&self, index: u32) -> Option<RoomId> {
        self.lock().remove(&index).map(|ended| ended.room)
    }

    /// The number of somebody's own.
    fn find(&self, user: UserId, id: Uuid) -> Option<u32> {
        let all = self.lock();
        let own = all.iter().find(|(_, other)| other.id == id && other.user == user);
        own.map(|(index, _)| *index)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Running>> {
        // Nothing under the lock panics half way, so what a poisoned one holds is whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signaling {
    /// Begins a test and waits for the answers to its offers.
    pub(crate) async fn begin_checkup(
        &self,
        identity: &Identity,
        request: CheckupRequest,
    ) -> Result<Checkup, ApiError> {
        self.may_check(identity, &request).await?;
        // What a test sends would be missing elsewhere.
        self.has_place(Place::New)?;
        let hub = &self.inner.hub;
        let index = hub.new_index();
        let (id, room) = (Uuid::now_v7(), RoomId(Uuid::now_v7()));
        let (heard, mut answers) = mpsc::unbounded_channel();
        let running = Running { id, room, user: identity.user_id, heard };
        if let Some(ended) = self.inner.checkups.begin(index, running)? {
            hub.tell_media(Command::CloseRoom { room: ended }).ok();
        }
        let begun = self.checkup_answers(index, room, request, &mut answers);
        let begun = tokio::time::timeout(ANSWER_WITHIN, begun).await;
        let answers = begun.unwrap_or_else(|_| {
            Err(ApiError::new(ErrorCode::Unavailable, "the media plane does not answer now"))
        });
        let (publish, watch) = match answers {
            Ok(answers) => answers,
            Err(error) => {
                self.end_checkup_at(index);
                return Err(error);
            }
        };
        let signaling = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(CHECKUP_LASTS).await;
            signaling.end_checkup_at(index);
        });
        Ok(Checkup { id, publish, watch, seconds: CHECKUP_LASTS.as_secs() })
    }

    /// Ends a test before its time; says whether there was one.
    pub(crate) fn end_checkup(&self, identity: &Identity, id: Uuid) -> bool {
        let found = self.inner.checkups.find(identity.user_id, id);
        found.is_some_and(|index| self.end_checkup_at(index))
    }

    /// Whoever may make a room could do all this in it; others name a room that they may enter.
    async fn may_check(
        &self,
        identity: &Identity,
        request: &CheckupRequest,
    ) -> Result<(), ApiError> {
        let is_guest = identity.role == AccountRole::Guest;
        if !is_guest || self.inner.settings.guests_may_create_rooms {
            return Ok(());
        }
        let Some(slug) = &request.slug else {
            let reason = "name a room that you may enter, or sign in with an account";
            return Err(ApiError::new(ErrorCode::Forbidden, reason));
        };
        let (room, role) = self.room_and_role(identity, slug).await?;
        if role.is_some() {
            return Ok(());
        }
        if let Some(code) = &request.invite_code {
            return match self.invited_room(code).await? {
                invited if invited.id == room.id => Ok(()),
                _ => Err(ApiError::new(ErrorCode::NotFound, "the invite leads elsewhere")),
            };
        }
        let shown = request.invite_key.as_deref().unwrap_or_default();
        match &room.invite_key_hash {
            Some(stored) if !self.inner.keys.is_invite_key(room.id, shown, stored) => {
                Err(ApiError::new(ErrorCode::WrongInviteKey, "this room asks for its invite key"))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn checkup_answers(
        &self,
        index: u32,
        room: RoomId,
        request: CheckupRequest,
        answers: &mut mpsc::UnboundedReceiver<Event>,
    ) -> Result<(String, Option<String>), ApiError> {
        let [publishing, watching] = [0, 1].map(|n| Room::transport_of(index, n));
        let [publisher, viewer] = [(); 2].map(|()| ParticipantId(Uuid::now_v7()));
        let busy = |_| ApiError::new(ErrorCode::Unavailable, "the media plane is busy, try again");
        let hub = &self.inner.hub;
        let (offer, tracks) = (request.publish, TrackNames::ByOrder);
        let publish =
            Command::Publish { peer: publishing, room, participant: publisher, offer, tracks };
        hub.tell_media(publish).map_err(busy)?;
        let has_viewer = request.watch.is_some();
        if let Some(offer) = request.watch {
            let follow = Some(publisher);
            let watch = Command::Watch { peer: watching, room, participant: viewer, offer, follow };
            hub.tell_media(watch).map_err(busy)?;
        }
        let (mut published, mut watched) = (None, None);
        loop {
            match answers.recv().await {
                Some(Event::Answered { peer, sdp }) if peer == publishing => published = Some(sdp),
                Some(Event::Answered { peer, sdp }) if peer == watching => watched = Some(sdp),
                Some(Event::Refused { reason, .. }) => {
                    return Err(ApiError::new(ErrorCode::BadSdp, reason));
                }
                Some(_) => {}
                None => {
                    let reason = "a newer test of yours has taken this one's place";
                    return Err(ApiError::new(ErrorCode::Conflict, reason));
                }
            }
            if published.is_some() && watched.is_some() == has_viewer {
                return Ok((published.unwrap_or_default(), watched));
            }
        }
    }

    fn end_checkup_at(&self, index: u32) -> bool {
        let ended = self.inner.checkups.end(index);
        if let Some(room) = ended {
            self.inner.hub.tell_media(Command::CloseRoom { room }).ok();
        }
        ended.is_some()
    }
}
