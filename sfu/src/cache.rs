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
