//! Long texts leave in pieces: the WebSocket layer keeps a buffer as large as the largest frame it ever wrote, for
//! as long as the socket lives.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, Utf8Bytes};

/// Bytes of a text in one frame. More stays with every socket that was once told much, such as an offer or the
/// snapshot of its room; less makes a write to the system of every few lines of it.
pub(super) const PIECE_BYTES: usize = 4 * 1024;

/// The frames of a text (RFC 6455 §5.4): one that says what it is, the others continue it.
pub(super) fn pieces(text: Utf8Bytes) -> impl Iterator<Item = Message> {
    let mut rest = Some(Bytes::from(text));
    let mut opcode = Data::Text;
    std::iter::from_fn(move || {
        let mut piece = rest.take()?;
        if piece.len() > PIECE_BYTES {
            rest = Some(piece.split_off(PIECE_BYTES));
        }
        let frame = Frame::message(piece, OpCode::Data(opcode), rest.is_none());
        opcode = Data::Continue;
        Some(Message::Frame(frame))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_text_are_that_text_and_only_the_last_ends_it() {
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            // Two bytes a letter: pieces end in the middle of one.
            let text = format!("x{}", "ж".repeat(length / 2));
            let frames: Vec<Frame> = pieces(text.clone().into())
                .map(|message| match message {
                    Message::Frame(frame) => frame,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(frames.len(), text.len().div_ceil(PIECE_BYTES));
            let opcodes = frames.iter().map(|frame| frame.header().opcode);
            let expected = std::iter::once(Data::Text).chain(std::iter::repeat(Data::Continue));
            assert!(opcodes.zip(expected).all(|(opcode, data)| opcode == OpCode::Data(data)));
            let ends: Vec<bool> = frames.iter().map(|frame| frame.header().is_final).collect();
            assert_eq!(ends.iter().position(|is_final| *is_final), Some(ends.len() - 1));
            assert!(frames.iter().all(|frame| frame.payload().len() <= PIECE_BYTES));
            let whole: Vec<u8> = frames.iter().flat_map(|frame| frame.payload().to_vec()).collect();
            assert_eq!(whole, text.into_bytes());
        }
    }
}
