//! Everybody whose joining is stored and whose leaving is not, found by participant, by person and by order of
//! joining, so that nothing that one of a thousand does looks through the other ones.

use super::membership::Person;
use protocol::{ParticipantId, UserId};
use std::collections::BTreeMap;
use std::ops::{Bound, Deref};

/// The people in a room. Reads as a map by participant.
#[derive(Default)]
pub(super) struct People {
    here: BTreeMap<ParticipantId, Person>,
    /// By the number of the event of their joining.
    order: BTreeMap<i64, ParticipantId>,
    of_user: BTreeMap<UserId, Vec<ParticipantId>>,
}

impl Deref for People {
    type Target = BTreeMap<ParticipantId, Person>;

    fn deref(&self) -> &Self::Target {
        &self.here
    }
}

impl People {
    pub(super) fn insert(&mut self, person: Person) {
        let (id, user) = (person.view.id, person.view.user_id);
        self.remove(id);
        self.order.insert(person.joined_seq, id);
        self.of_user.entry(user).or_default().push(id);
        self.here.insert(id, person);
    }

    pub(super) fn remove(&mut self, id: ParticipantId) -> Option<Person> {
        let person = self.here.remove(&id)?;
        self.order.remove(&person.joined_seq);
        if let Some(theirs) = self.of_user.get_mut(&person.view.user_id) {
            theirs.retain(|other| *other != id);
            if theirs.is_empty() {
                self.of_user.remove(&person.view.user_id);
            }
        }
        Some(person)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get_mut(&mut self, id: &ParticipantId) -> Option<&mut Person> {
        self.here.get_mut(id)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Person> {
        self.here.values_mut()
    }

    /// The participants of one person, in order of joining.
    pub(super) fn of(&self, user: UserId) -> &[ParticipantId] {
        self.of_user.get(&user).map_or(&[], Vec::as_slice)
    }

    /// Everybody who joined after this event, in order of joining.
    pub(super) fn joined_after(&self, seq: i64) -> impl Iterator<Item = &Person> {
        let later = self.order.range((Bound::Excluded(seq), Bound::Unbounded));
        later.filter_map(|(_, id)| self.here.get(id))
    }

    /// Everybody in order of joining.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Person> {
        self.order.values().filter_map(|id| self.here.get(id))
    }
}
