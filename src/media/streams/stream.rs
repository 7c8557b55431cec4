//! One stream: packets cut out of what comes, and what goes out in whole packets or not at all.

use super::Origin;
use super::io::Io;
use mio::{Registry, Token};
use sfu::{ConnectionId, PlaneId, framing};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::ops::Range;
use std::time::Instant;
use turn::channel::{self, Frame};

/// Bytes of the largest packet taken, as by the UDP socket.
pub const MAX_PACKET: usize = 2_048;
/// Bytes that wait for a stream to take them. More is sound that comes too late, less loses the pictures that
/// come in bursts: a large keyframe has 100 kB.
const MAX_QUEUE: usize = 128 * 1024;

/// Bytes of its queue that a stream keeps when nothing waits: a burst of packets. More is memory for each stream, less
/// allocates every second.
const KEPT: usize = 16 * 1024;

/// What a stream speaks; its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Not enough has come to tell.
    Unknown,
    /// Packets of ICE, DTLS and SRTP, each with its length in front (RFC 4571).
    Ice,
    /// TURN (RFC 8656 §3.1): messages that say their own length.
    Turn,
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There may be more.
    More,
    /// Everything was read.
    Drained,
    /// The stream is over.
    Ended(Ended),
    /// It belongs to another media thread, with everything from the last packet on.
    Moves(PlaneId),
}

/// Why reading stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The stream is over.
    End(Ended),
    /// The packet, and all that follows, is for another media thread.
    Move(PlaneId),
}

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The client closed it, or the network did.
    Closed,
    /// It sent what is no packet of ours.
    Malformed,
    /// It never proved whose it is.
    Unproven,
    /// Whoever it belonged to has gone, or does not use it.
    Unused,
}

/// A connection of a client.
pub struct Stream {
    io: Io,
    id: ConnectionId,
    /// Where it comes from.
    pub address: SocketAddr,
    /// What it speaks.
    pub speech: Speech,
    /// When it came.
    pub since: Instant,
    /// Whether somebody known has spoken on it.
    pub is_proven: bool,
    /// Packets that came before it was.
    pub unproven_packets: u32,
    /// Whether it stands in the queue of those that are read.
    pub is_queued: bool,
    /// Whether the client says no more: then reading goes on until nothing is left.
    pub is_ending: bool,
    /// The beginning of a packet whose rest has not come.
    partial: Vec<u8>,
    /// Whether that holds whole packets, which came before it was moved here.
    has_unread: bool,
    queue: Vec<u8>,
    written: usize,
}

impl Stream {
    /// A stream that has sent nothing yet.
    pub fn new(io: Io, id: ConnectionId, address: SocketAddr, now: Instant) -> Self {
        Self {
            io,
            id,
            address,
            speech: Speech::Unknown,
            since: now,
            is_proven: false,
            unproven_packets: 0,
            is_queued: false,
            is_ending: false,
            partial: Vec::new(),
            has_unread: false,
            queue: Vec::new(),
            written: 0,
        }
    }

    /// Goes on at another thread, under another number.
    pub fn settle(&mut self, id: ConnectionId) {
        self.id = id;
        self.is_queued = false;
    }

    /// Asks to be told when there is something to read or room to write.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.io.register(registry, token)
    }

    /// Stops being told.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.io.deregister(registry)
    }

    /// Which it is.
    pub fn origin(&self) -> Origin {
        Origin { connection: self.id, address: self.address, speech: self.speech }
    }

    /// Reads once, behind what was left over, and hands every whole packet over until `each` has enough.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(Speech, &mut [u8]) -> ControlFlow<Stop>,
    ) -> Taken {
        let begin = self.partial.len();
        buffer[..begin].copy_from_slice(&self.partial);
        let had_unread = std::mem::take(&mut self.has_unread);
        let end = if had_unread {
            begin
        } else {
            match self.io.read(&mut buffer[begin..]) {
                Ok(0) => return Taken::Ended(Ended::Closed),
                Ok(count) => begin + count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Taken::Drained,
                Err(error) if error.kind() == ErrorKind::Interrupted => return Taken::More,
                Err(_) => return Taken::Ended(Ended::Closed),
            }
        };
        if self.speech == Speech::Unknown {
            self.speech = match channel::speaks_turn(&buffer[..end]) {
                None => Speech::Unknown,
                Some(true) => Speech::Turn,
                Some(false) => Speech::Ice,
            };
        }
        let mut read = 0;
        loop {
            match first(self.speech, &buffer[read..end]) {
                Ok(Some((packet, next))) => {
                    let packet = &mut buffer[read..][packet];
                    // Empty frames mean nothing (RFC 4571 §2).
                    if !packet.is_empty()
                        && let ControlFlow::Break(stop) = each(self.speech, packet)
                    {
                        match stop {
                            Stop::End(why) => return Taken::Ended(why),
                            Stop::Move(plane) => {
                                self.partial.clear();
                                self.partial.extend_from_slice(&buffer[read..end]);
                                self.has_unread = true;
                                return Taken::Moves(plane);
                            }
                        }
                    }
                    read += next;
                }
                Ok(None) => break,
                Err(why) => return Taken::Ended(why),
            }
        }
        self.partial.clear();
        self.partial.extend_from_slice(&buffer[read..end]);
        // Less than there was room for is all that there was.
        let is_empty =
            end < buffer.len() && !had_unread && !self.is_ending && self.io.tells_emptiness();
        if is_empty { Taken::Drained } else { Taken::More }
    }

    /// Puts one packet in front of the door; false when the stream is so far behind that it is dropped.
    pub fn push(&mut self, packet: &[u8]) -> bool {
        if self.waiting() + framing::HEADER + packet.len() > MAX_QUEUE {
            return false;
        }
        if self.written > 0 && self.queue.len() + framing::HEADER + packet.len() > MAX_QUEUE {
            self.queue.drain(..self.written);
            self.written = 0;
        }
        match self.speech {
            Speech::Turn => self.queue.extend_from_slice(packet),
            Speech::Ice | Speech::Unknown => return framing::write(&mut self.queue, packet),
        }
        true
    }

    /// Writes as much as the system takes; false when the stream is broken.
    pub fn flush(&mut self) -> bool {
        while self.waiting() > 0 {
            match self.io.write(&self.queue[self.written..]) {
                Ok(0) => return false,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.queue.clear();
        self.written = 0;
        match self.io.flush() {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    /// Gives memory back that a burst has taken.
    pub fn rest(&mut self) {
        if self.waiting() == 0 && self.queue.capacity() > KEPT {
            self.queue = Vec::new();
        }
    }

    /// Bytes that wait for room.
    pub fn waiting(&self) -> usize {
        self.queue.len() - self.written
    }
}

/// The packet that a stream begins with, and where the next one begins.
fn first(speech: Speech, stream: &[u8]) -> Result<Option<(Range<usize>, usize)>, Ended> {
    match speech {
        Speech::Unknown => Ok(None),
        Speech::Ice => match framing::first(stream, MAX_PACKET) {
            Ok(packet) => Ok(packet.map(|packet| (packet.clone(), packet.end))),
            Err(_) => Err(Ended::Malformed),
        },
        Speech::Turn => match channel::frame(stream) {
            Frame::Incomplete => Ok(None),
            Frame::Whole { length, next } => Ok(Some((0..length, next))),
            Frame::Broken => Err(Ended::Malformed),
        },
    }
}

impl Ended {
    /// All of them.
    pub const ALL: [Ended; 4] = [Ended::Closed, Ended::Malformed, Ended::Unproven, Ended::Unused];

    /// One word, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Ended::Closed => "closed",
            Ended::Malformed => "malformed",
            Ended::Unproven => "unproven",
            Ended::Unused => "unused",
        }
    }
}
