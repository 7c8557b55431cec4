//! What the fuzz target of the room's WebSocket does with its input; `signaling/tests/corpus.rs` replays the committed corpus
//! through the same function.

#[path = "../signaling/src/socket/wire/incoming.rs"]
#[allow(dead_code, reason = "the writer's half is not here")]
mod incoming;

use incoming::{Fault, Heard, Incoming};
use protocol::limits::MAX_FRAME_BYTES;

/// What a client sends, whole and in pieces: the same is heard, nothing larger than allowed, nothing after a goodbye.
///
/// The first byte says how large the pieces are.
pub fn socket(input: &[u8]) {
    let Some((&size, said)) = input.split_first() else { return };
    let whole = heard(std::iter::once(said));
    assert_eq!(heard(said.chunks(usize::from(size).max(1))), whole);
    let (whole, _) = whole;
    for (at, heard) in whole.iter().enumerate() {
        match heard {
            Heard::Text(text) => assert!(text.len() <= MAX_FRAME_BYTES),
            Heard::Ping(said) => assert!(said.len() <= 125),
            Heard::Close(_) => assert_eq!(at + 1, whole.len()),
            Heard::Binary | Heard::Pong => {}
        }
    }
}

fn heard<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Heard>, Option<Fault>) {
    let (mut incoming, mut heard) = (Incoming::default(), Vec::new());
    for piece in pieces {
        incoming.push(piece);
        while !incoming.is_closed() {
            match incoming.next() {
                Ok(Some(said)) => heard.push(said),
                Ok(None) => break,
                Err(fault) => return (heard, Some(fault)),
            }
        }
    }
    (heard, None)
}
