//! Who holds how many allocations, on all media threads together: limits are for people and places, whichever thread their
//! packets come to.

use crate::bucket::Source;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What may be held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) in_all: usize,
    pub(crate) of_person: usize,
    pub(crate) of_source: usize,
}

/// Shared by the servers of all threads. They lock it where an allocation begins or ends, and for no packet.
#[derive(Clone, Default)]
pub struct Holders(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    in_all: usize,
    of_persons: HashMap<Box<str>, usize>,
    of_sources: HashMap<Source, usize>,
}

impl Holders {
    /// They hold one more where that fits, or the code that says why not.
    pub(crate) fn take(&self, person: &str, source: Source, most: Most) -> Result<(), u16> {
        let mut held = self.held();
        if held.of_persons.get(person).is_some_and(|count| *count >= most.of_person)
            || held.of_sources.get(&source).is_some_and(|count| *count >= most.of_source)
        {
            return Err(486);
        }
        if held.in_all >= most.in_all {
            return Err(508);
        }
        held.in_all += 1;
        *held.of_persons.entry(person.into()).or_default() += 1;
        *held.of_sources.entry(source).or_default() += 1;
        Ok(())
    }

    /// They hold one less.
    pub(crate) fn give_back(&self, person: &str, source: Source) {
        let mut held = self.held();
        held.in_all = held.in_all.saturating_sub(1);
        if let Some(count) = held.of_persons.get_mut(person) {
            *count -= 1;
            if *count == 0 {
                held.of_persons.remove(person);
            }
        }
        if let Some(count) = held.of_sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                held.of_sources.remove(&source);
            }
        }
    }

    /// Nothing panics while it is held.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn source(last: u8) -> Source {
        Source::from(IpAddr::from(Ipv4Addr::new(192, 0, 2, last)))
    }

    const MOST: Most = Most { in_all: 5, of_person: 2, of_source: 3 };

    #[test]
    fn what_threads_hold_together_is_bounded() {
        let here = Holders::default();
        let there = here.clone();
        assert_eq!(here.take("anna", source(1), MOST), Ok(()));
        assert_eq!(there.take("anna", source(2), MOST), Ok(()));
        assert_eq!(here.take("anna", source(3), MOST), Err(486), "of a person");
        assert_eq!(here.take("boris", source(1), MOST), Ok(()));
        assert_eq!(there.take("clara", source(1), MOST), Ok(()));
        assert_eq!(there.take("eva", source(1), MOST), Err(486), "from a place");
        assert_eq!(there.take("eva", source(3), MOST), Ok(()));
        assert_eq!(here.take("filip", source(4), MOST), Err(508), "in all");
        there.give_back("anna", source(2));
        assert_eq!(here.take("anna", source(2), MOST), Ok(()));
        for (person, last) in [("anna", 1), ("anna", 2), ("boris", 1), ("clara", 1), ("eva", 3)] {
            here.give_back(person, source(last));
        }
        let held = there.held();
        assert!(held.in_all == 0 && held.of_persons.is_empty() && held.of_sources.is_empty());
    }
}
