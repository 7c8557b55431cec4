//! What everybody in the room is told, as moments of the table of contents.

use protocol::room::{By, Forcible, MediaState, Participant};
use protocol::{ParticipantId, ServerMessage, UserId};
use recorder::contents::{Contents, What};
use std::collections::BTreeMap;

/// Who is there, as far as a recording needs to know.
#[derive(Debug, Default)]
pub struct People {
    here: BTreeMap<ParticipantId, Person>,
    /// Who stopped what of whom.
    forced: BTreeMap<(UserId, Forcible), By>,
    /// Who muted everybody.
    mute_all: Option<By>,
}

/// Somebody who is, or was, there.
#[derive(Clone, Debug)]
pub struct Person {
    /// Identity.
    pub user_id: UserId,
    /// Name.
    pub display_name: String,
    media: MediaState,
}

impl People {
    /// Those who are there when a recording begins.
    pub fn begin(
        people: &[Participant],
        speakers: &[ParticipantId],
        hands_up: &[ParticipantId],
        contents: &mut Contents,
    ) -> Self {
        let mut all = Self::default();
        for participant in people {
            all.join(0, participant, contents);
        }
        if !speakers.is_empty() {
            let speakers = speakers.to_vec();
            all.hear(0, &ServerMessage::SpeakersChanged { speakers }, contents);
        }
        for &participant_id in hands_up {
            all.hear(0, &ServerMessage::HandRaised { participant_id, seq: 0 }, contents);
        }
        all
    }

    /// Somebody, also after they have left.
    pub fn person(&self, id: ParticipantId) -> Option<&Person> {
        self.here.get(&id)
    }

    /// Everybody who was ever there.
    pub fn identities(&self) -> Vec<UserId> {
        let mut all: Vec<UserId> = self.here.values().map(|person| person.user_id).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Notes what was told.
    pub fn hear(&mut self, at_ms: u64, message: &ServerMessage, contents: &mut Contents) {
        match message {
            ServerMessage::MemberJoined { participant, .. } => {
                self.join(at_ms, participant, contents);
            }
            ServerMessage::MemberLeft { participant_id, .. } => {
                contents.note(at_ms, What::Left { participant_id: participant_id.to_string() });
            }
            ServerMessage::MediaForced { user_id, source, forced, by, .. } => {
                self.force(*user_id, *source, *forced, by);
            }
            ServerMessage::MediaVideoForced { user_id, forced, by, .. } => {
                self.force(*user_id, Forcible::Camera, *forced, by);
            }
            ServerMessage::StateChanged { state, by, .. } => {
                let was_there = self.mute_all.take();
                self.mute_all = state.mute_all.then(|| was_there.unwrap_or_else(|| by.clone()));
            }
            ServerMessage::MediaUpdated { participant_id, media } => {
                self.mute(at_ms, *participant_id, *media, contents);
            }
            ServerMessage::SpeakersChanged { speakers } => {
                let participant_ids = speakers.iter().map(ToString::to_string).collect();
                contents.note(at_ms, What::Speaking { participant_ids });
            }
            ServerMessage::HandRaised { participant_id, .. } => {
                let participant_id = participant_id.to_string();
                contents.note(at_ms, What::Hand { participant_id, is_raised: true });
            }
            ServerMessage::HandLowered { participant_id: Some(id), .. } => {
                let participant_id = id.to_string();
                contents.note(at_ms, What::Hand { participant_id, is_raised: false });
            }
            ServerMessage::HandLowered { participant_id: None, .. } => {
                for id in self.here.keys() {
                    let participant_id = id.to_string();
                    contents.note(at_ms, What::Hand { participant_id, is_raised: false });
                }
            }
            _ => {}
        }
    }

    fn join(&mut self, at_ms: u64, participant: &Participant, contents: &mut Contents) {
        let Participant { id, user_id, display_name, media, orders, .. } = participant;
        contents.note(
            at_ms,
            What::Joined {
                participant_id: id.to_string(),
                user_id: user_id.to_string(),
                display_name: display_name.clone(),
            },
        );
        let mut orders = orders.clone();
        for source in [Forcible::Microphone, Forcible::Camera, Forcible::Screen] {
            if let Some(by) = orders.forced_by(source).take() {
                self.forced.insert((*user_id, source), by);
            }
        }
        let person = Person {
            user_id: *user_id,
            display_name: display_name.clone(),
            media: MediaState::default(),
        };
        self.here.insert(*id, person);
        self.mute(at_ms, *id, *media, contents);
    }

    fn force(&mut self, user: UserId, source: Forcible, forced: bool, by: &By) {
        match forced {
            true => drop(self.forced.insert((user, source), by.clone())),
            false => drop(self.forced.remove(&(user, source))),
        }
    }

    fn mute(&mut self, at_ms: u64, id: ParticipantId, media: MediaState, contents: &mut Contents) {
        let Some(person) = self.here.get_mut(&id) else { return };
        let before = std::mem::replace(&mut person.media, media);
        let user = person.user_id;
        let sources = [
            (
                Forcible::Microphone,
                "microphone",
                before.mic_muted,
                before.mic_forced,
                media.mic_muted,
                media.mic_forced,
            ),
            (
                Forcible::Camera,
                "camera",
                before.cam_off,
                before.cam_forced,
                media.cam_off,
                media.cam_forced,
            ),
            (Forcible::Screen, "screen", false, before.screen_forced, false, media.screen_forced),
        ];
        for (kind, source, was_own, was_forced, own, forced) in sources {
            let (was, is) = (was_own || was_forced, own || forced);
            if (was, was_forced) == (is, forced) {
                continue;
            }
            let (participant_id, source) = (id.to_string(), source.to_owned());
            let what = if is {
                let ordered = self.forced.get(&(user, kind)).or(self.mute_all.as_ref());
                let by = ordered.filter(|_| forced).map(|by| by.display_name.clone());
                What::Muted { participant_id, source, by }
            } else {
                What::Unmuted { participant_id, source }
            };
            contents.note(at_ms, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::room::{Orders, Presence, Role};
    use recorder::contents::RoomName;
    use uuid::Uuid;

    fn participant(n: u128) -> Participant {
        Participant {
            id: ParticipantId(Uuid::from_u128(n)),
            user_id: UserId(Uuid::from_u128(100 + n)),
            display_name: format!("person {n}"),
            role: Role::Member,
            presence: Presence::Online,
            media: MediaState::default(),
            orders: Orders::default(),
            keys: None,
            tracks: Vec::new(),
            joined_ms: 0,
        }
    }

    #[test]
    fn a_mute_says_who_did_it_where_it_was_not_its_owner() {
        let room = RoomName { id: "r".into(), slug: "weekly".into(), name: "Weekly".into() };
        let mut contents = Contents::begin("1".into(), room, 0);
        let boris = participant(1);
        let mut people = People::begin(std::slice::from_ref(&boris), &[], &[], &mut contents);
        let own = MediaState { mic_muted: true, ..MediaState::default() };
        let forced = MediaState { mic_forced: true, ..MediaState::default() };
        let by = By { user_id: UserId(Uuid::from_u128(9)), display_name: "Anna".into() };
        let order = ServerMessage::MediaForced {
            user_id: boris.user_id,
            source: Forcible::Microphone,
            forced: true,
            by,
            seq: 1,
        };
        let updated = |media| ServerMessage::MediaUpdated { participant_id: boris.id, media };
        for (at_ms, message) in [
            (10, updated(own)),
            (20, updated(MediaState::default())),
            (30, order),
            (31, updated(forced)),
            (40, updated(MediaState::default())),
        ] {
            people.hear(at_ms, &message, &mut contents);
        }
        let seen: Vec<(u64, bool, Option<&str>)> = contents.moments[1..]
            .iter()
            .map(|moment| match &moment.what {
                What::Muted { by, .. } => (moment.at_ms, true, by.as_deref()),
                What::Unmuted { .. } => (moment.at_ms, false, None),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            seen,
            [(10, true, None), (20, false, None), (31, true, Some("Anna")), (40, false, None)]
        );
        assert_eq!(people.identities(), [boris.user_id]);
    }
}
