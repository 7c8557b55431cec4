//! The packets of a stream that can still be asked for again.

use std::time::Instant;

/// The last packets of one incoming stream, decrypted, shared by all its subscribers.
///
/// A ring over extended sequence numbers. Slots are allocated when first used and then reused,
/// so memory is at most capacity × [`MAX_PACKET`](Self::MAX_PACKET) and a quiet stream costs nothing.
#[derive(Debug)]
pub struct PacketCache {
    slots: Vec<Slot>,
    capacity: usize,
    highest: u64,
}

#[derive(Debug, Default)]
struct Slot {
    /// 0 while empty; extended sequence numbers begin above it.
    sequence: u64,
    arrival: Option<Instant>,
    packet: Vec<u8>,
}

impl PacketCache {
    /// Longer packets are noted as received but not kept. More than any MTU on the way to a browser;
    /// larger would let a hostile publisher hold that much in every slot.
    pub const MAX_PACKET: usize = 2048;

    /// Remembers at least `capacity` packets (rounded up to a power of two).
    pub fn new(capacity: usize) -> Self {
        PacketCache { slots: Vec::new(), capacity: capacity.max(1).next_power_of_two(), highest: 0 }
    }

    /// Keeps `packet`. `false`, and nothing changes, if it is there already or too old to be kept.
    pub fn insert(&mut self, sequence: u64, packet: &[u8], arrival: Instant) -> bool {
        if !self.is_in_window(sequence) {
            return false;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(self.capacity, Slot::default);
        }
        let index = self.index(sequence);
        let slot = &mut self.slots[index];
        if slot.sequence == sequence {
            return false;
        }
        slot.sequence = sequence;
        slot.arrival = Some(arrival);
        slot.packet.clear();
        if packet.len() <= Self::MAX_PACKET {
            // Exact, so that doubling cannot exceed the bound.
            slot.packet.reserve_exact(packet.len());
            slot.packet.extend_from_slice(packet);
        }
        self.highest = self.highest.max(sequence);
        true
    }

    /// The packet with this extended sequence number, if it is still here.
    pub fn get(&self, sequence: u64) -> Option<&[u8]> {
        self.slot(sequence).map(|slot| &slot.packet[..]).filter(|packet| !packet.is_empty())
    }

    /// When the packet with this extended sequence number came in.
    pub fn arrival(&self, sequence: u64) -> Option<Instant> {
        self.slot(sequence)?.arrival
    }

    /// The highest extended sequence number so far.
    pub fn highest(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.highest)
    }

    fn slot(&self, sequence: u64) -> Option<&Slot> {
        let slot = self.slots.get(self.index(sequence))?;
        (slot.sequence == sequence && self.is_in_window(sequence)).then_some(slot)
    }

    fn index(&self, sequence: u64) -> usize {
        (sequence as usize) & (self.capacity - 1)
    }

    fn is_in_window(&self, sequence: u64) -> bool {
        sequence != 0 && sequence.saturating_add(self.capacity as u64) > self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[test]
    fn memory_grows_with_use_and_only_to_its_bound() {
        let now = Instant::now();
        let mut cache = PacketCache::new(60);
        assert_eq!((cache.slots.capacity(), cache.highest()), (0, None));
        for sequence in 65_536..70_000u64 {
            assert!(cache.insert(sequence, &[7; PacketCache::MAX_PACKET], now));
        }
        assert_eq!(cache.slots.len(), 64);
        assert!(cache.slots.iter().all(|slot| slot.packet.capacity() <= PacketCache::MAX_PACKET));
        assert_eq!(cache.highest(), Some(69_999));
    }

    #[test]
    fn an_oversized_packet_is_noted_but_not_kept() {
        let now = Instant::now();
        let mut cache = PacketCache::new(8);
        let jumbo = [0; PacketCache::MAX_PACKET + 1];
        assert!(cache.insert(70_000, &jumbo, now));
        assert!(!cache.insert(70_000, &jumbo, now));
        assert_eq!(cache.get(70_000), None);
        assert_eq!(cache.arrival(70_000), Some(now));
    }

    proptest! {
        #[test]
        fn it_holds_exactly_the_window_and_never_another_packet(
            capacity in 1usize..40,
            steps in vec((-50i64..20, vec(any::<u8>(), 1..10)), 1..100),
        ) {
            let start = Instant::now();
            let mut cache = PacketCache::new(capacity);
            let window = capacity.next_power_of_two() as u64;
            let mut model = BTreeMap::new();
            let mut highest = 70_000u64;
            for (at, (step, packet)) in steps.into_iter().enumerate() {
                let arrival = start + Duration::from_millis(at as u64);
                let sequence = highest.saturating_add_signed(step);
                let is_new = !model.contains_key(&sequence)
                    && (model.is_empty() || sequence + window > highest);
                prop_assert_eq!(cache.insert(sequence, &packet, arrival), is_new);
                if is_new {
                    highest = if model.is_empty() { sequence } else { highest.max(sequence) };
                    model.insert(sequence, (packet, arrival));
                }
                for sequence in highest.saturating_sub(2 * window + 60)..highest + 60 {
                    let expected = model.get(&sequence).filter(|_| sequence + window > highest);
                    prop_assert_eq!(cache.get(sequence), expected.map(|(packet, _)| &packet[..]));
                    prop_assert_eq!(cache.arrival(sequence), expected.map(|(_, arrival)| *arrival));
                }
            }
        }
    }
}
