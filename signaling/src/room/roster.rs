//! Who is here, for those who come: all at once in a small room. In a large one those who matter first, with the
//! snapshot, and the others page by page, each page as things are when it is made. What is told meanwhile is told
//! of people whom a page may not have brought yet, and a page brings them as they are then.

use super::Room;
use super::membership::Person;
use protocol::limits::{ROSTER_PAGE, SNAPSHOT_PEOPLE};
use protocol::room::Participant;
use protocol::{ServerMessage, Source, UserId};

impl Room {
    /// The people of a snapshot, in order of joining, and how many there are where these are not all.
    pub(super) fn first_people(&self, viewer: UserId) -> (Vec<Participant>, Option<u32>) {
        if self.people.len() <= SNAPSHOT_PEOPLE {
            return (self.participants(), None);
        }
        let mut ranked: Vec<(Rank, &Person)> =
            self.people.values().map(|person| (self.rank(viewer, person), person)).collect();
        let key = |(rank, person): &(Rank, &Person)| (*rank, person.joined_seq);
        ranked.select_nth_unstable_by_key(SNAPSHOT_PEOPLE, key);
        ranked.truncate(SNAPSHOT_PEOPLE);
        ranked.sort_unstable_by_key(|(_, person)| person.joined_seq);
        let people = ranked.into_iter().map(|(_, person)| person.view.clone()).collect();
        (people, Some(u32::try_from(self.people.len()).unwrap_or(u32::MAX)))
    }

    /// The page of those who joined after this event, and after which one the next page goes on.
    pub fn roster_page(&self, after_seq: i64) -> (ServerMessage, Option<i64>) {
        let mut later = self.people.joined_after(after_seq);
        let page: Vec<&Person> = later.by_ref().take(ROSTER_PAGE).collect();
        let next = later.next().and(page.last()).map(|last| last.joined_seq);
        let participants = page.into_iter().map(|person| person.view.clone()).collect();
        (ServerMessage::RosterPage { participants, has_more: next.is_some() }, next)
    }

    fn rank(&self, viewer: UserId, person: &Person) -> Rank {
        let view = &person.view;
        let has = |source| view.tracks.iter().any(|track| track.source == source);
        if view.user_id == viewer {
            Rank::Viewer
        } else if self.speakers.contains(&view.id) {
            Rank::Speaker
        } else if has(Source::Screen) {
            Rank::Screen
        } else if view.role.is_moderator() {
            Rank::Moderator
        } else if has(Source::Camera) && !view.media.cam_off {
            Rank::Camera
        } else if self.state.hands_up.iter().take(HANDS).any(|hand| *hand == view.id) {
            Rank::Hand
        } else {
            Rank::Other
        }
    }
}

/// Why somebody is among the first, the best reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Viewer,
    Speaker,
    Screen,
    Moderator,
    Camera,
    Hand,
    Other,
}

/// Raised hands that are looked at for each person: a thousand of them would be a square.
const HANDS: usize = 16;
