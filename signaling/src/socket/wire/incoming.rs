//! Bytes of a WebSocket in, what they say out (RFC 6455 §5). No socket, no clock. The fuzz target takes this file as it is
//! (`fuzz/socket.rs`).

use protocol::limits::MAX_FRAME_BYTES;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    /// Bytes, which nobody here has a use for.
    Binary,
    /// To be answered with the same.
    Ping(Vec<u8>),
    Pong,
    /// Goodbye, with a code where there was one. Nothing follows it.
    Close(Option<u16>),
}

/// What no client may say. Nothing is understood after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Against the protocol.
    Protocol,
    /// A text that is no UTF-8.
    NotText,
    /// More than [`MAX_FRAME_BYTES`] in one message.
    TooLarge,
}

/// What came of a socket and is not whole yet. Holds nothing between two messages.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// Not understood yet; the fault rules out more than a message and its header.
    bytes: Vec<u8>,
    /// The beginning of a message in several frames, and whether it is text.
    message: Option<(bool, Vec<u8>)>,
    is_closed: bool,
    is_lost: bool,
}

struct Frame {
    opcode: u8,
    is_last: bool,
    payload: Vec<u8>,
}

impl Incoming {
    /// Adds what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.is_lost {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// What was said next, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Heard>, Fault> {
        while let Some(frame) = self.take_frame()? {
            if let Some(heard) = self.understand(frame)? {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    /// Whether the other end said goodbye.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Takes no notice any more of what comes.
    pub(super) fn forget(&mut self) {
        *self = Self { is_lost: true, is_closed: self.is_closed, ..Self::default() };
    }

    /// Bytes of memory that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity() + self.message.as_ref().map_or(0, |(_, begun)| begun.capacity())
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, Fault> {
        let [first, second, ..] = self.bytes[..] else { return Ok(None) };
        let (opcode, is_last) = (first & 0x0f, first & LAST != 0);
        // No extension was agreed on, and clients mask (§5.1).
        if first & 0x70 != 0 || second & MASKED == 0 {
            return Err(Fault::Protocol);
        }
        let short = second & !MASKED;
        match opcode {
            CONTINUE | TEXT | BINARY => {}
            CLOSE | PING | PONG if is_last && short < LENGTH_16 => {}
            _ => return Err(Fault::Protocol),
        }
        let Some((length, head)) = self.length(short) else { return Ok(None) };
        let begun = match &self.message {
            Some((_, begun)) if opcode == CONTINUE => begun.len(),
            _ => 0,
        };
        if length > (MAX_FRAME_BYTES - begun) as u64 {
            return Err(Fault::TooLarge);
        }
        let begin = head + MASK_BYTES;
        let end = begin + length as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let mask: [u8; MASK_BYTES] = std::array::from_fn(|at| self.bytes[head + at]);
        // Mostly nothing is behind it, and what was read becomes the message.
        let rest = self.bytes.split_off(end);
        let mut payload = std::mem::replace(&mut self.bytes, rest);
        payload.drain(..begin);
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[at % MASK_BYTES];
        }
        Ok(Some(Frame { opcode, is_last, payload }))
    }

    /// The length of a payload and where its mask begins, if the header is here.
    fn length(&self, short: u8) -> Option<(u64, usize)> {
        Some(match short {
            LENGTH_16 => {
                let (length, _) = self.bytes[2..].split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), 4)
            }
            LENGTH_64 => {
                let (length, _) = self.bytes[2..].split_first_chunk()?;
                (u64::from_be_bytes(*length), 10)
            }
            short => (u64::from(short), 2),
        })
    }

    fn understand(&mut self, frame: Frame) -> Result<Option<Heard>, Fault> {
        let Frame { opcode, is_last, payload } = frame;
        match (opcode, self.message.take()) {
            (CLOSE, _) => {
                self.is_closed = true;
                return Ok(Some(Heard::Close(close_code(&payload)?)));
            }
            (PING, begun) => {
                self.message = begun;
                return Ok(Some(Heard::Ping(payload)));
            }
            (PONG, begun) => {
                self.message = begun;
                return Ok(Some(Heard::Pong));
            }
            (CONTINUE, Some((is_text, mut begun))) => {
                begun.extend_from_slice(&payload);
                self.message = Some((is_text, begun));
            }
            (TEXT | BINARY, None) => self.message = Some((opcode == TEXT, payload)),
            // A message in the middle of another, or the middle of none.
            _ => return Err(Fault::Protocol),
        }
        match self.message.take_if(|_| is_last) {
            Some((true, text)) => String::from_utf8(text)
                .map(|text| Some(Heard::Text(text)))
                .map_err(|_| Fault::NotText),
            Some((false, _)) => Ok(Some(Heard::Binary)),
            None => Ok(None),
        }
    }
}

/// The code of a goodbye (RFC 6455 §7.4): what is only said between a program and its library may not be sent.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let Some((code, words)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Fault::Protocol) };
    };
    let code = u16::from_be_bytes(*code);
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => {}
        _ => return Err(Fault::Protocol),
    }
    std::str::from_utf8(words).map_err(|_| Fault::NotText)?;
    Ok(Some(code))
}

pub(super) const CONTINUE: u8 = 0;
pub(super) const TEXT: u8 = 1;
const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
/// The bit of a message's last frame.
pub(super) const LAST: u8 = 0x80;
/// Stand where a length stands, before one of two and of eight bytes.
pub(super) const LENGTH_16: u8 = 126;
pub(super) const LENGTH_64: u8 = 127;
const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame as Raw;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

    /// A client's frame, written by the library.
    fn frame(opcode: OpCode, is_last: bool, payload: &[u8]) -> Vec<u8> {
        let mut frame = Raw::message(payload.to_vec(), OpCode::Data(Data::Text), is_last);
        frame.header_mut().opcode = opcode;
        frame.header_mut().mask = Some([0x12, 0xfe, 0x00, 0x7a]);
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    fn text(part: &str, is_last: bool) -> Vec<u8> {
        frame(OpCode::Data(Data::Text), is_last, part.as_bytes())
    }

    fn more(part: &[u8], is_last: bool) -> Vec<u8> {
        frame(OpCode::Data(Data::Continue), is_last, part)
    }

    fn control(control: Control, payload: &[u8]) -> Vec<u8> {
        frame(OpCode::Control(control), true, payload)
    }

    /// All that is heard of these bytes, and how it ends.
    fn heard(bytes: &[u8]) -> (Vec<Heard>, Result<(), Fault>) {
        let mut incoming = Incoming::default();
        incoming.push(bytes);
        let mut all = Vec::new();
        loop {
            match incoming.next() {
                Ok(Some(heard)) => all.push(heard),
                Ok(None) => return (all, Ok(())),
                Err(fault) => return (all, Err(fault)),
            }
        }
    }

    #[test]
    fn a_message_in_frames_is_one_and_pings_may_stand_between() {
        let word = "слово".as_bytes();
        let bytes = [
            text("a ", false),
            more(&word[..3], false),
            control(Control::Ping, b"p"),
            more(&word[3..], true),
            control(Control::Pong, b""),
        ];
        let (all, end) = heard(&bytes.concat());
        let expected = [Heard::Ping(b"p".to_vec()), Heard::Text("a слово".to_owned()), Heard::Pong];
        assert_eq!((all.as_slice(), end), (expected.as_slice(), Ok(())));
    }

    #[test]
    fn what_no_client_may_say_is_a_fault() {
        let half = [0xd1];
        let unmasked = vec![0x81, 0x01, b'x'];
        let mut extended = text("x", true);
        extended[0] |= 0x40;
        let mut long_ping = control(Control::Ping, &[0; 125]);
        long_ping[1] = 0x80 | LENGTH_16;
        let mut half_ping = control(Control::Ping, b"");
        half_ping[0] &= !LAST;
        let vast = [&[0x82, 0x80 | LENGTH_64][..], &[0xff; 8]].concat();
        let bit = MAX_FRAME_BYTES / 2;
        let large = [text(&"x".repeat(bit), false), more(&vec![b'x'; bit + 1], true)].concat();
        for (bytes, fault) in [
            (unmasked, Fault::Protocol),
            (extended, Fault::Protocol),
            (frame(OpCode::Data(Data::Reserved(3)), true, b""), Fault::Protocol),
            (long_ping, Fault::Protocol),
            (half_ping, Fault::Protocol),
            (more(b"x", true), Fault::Protocol),
            ([text("x", false), text("y", true)].concat(), Fault::Protocol),
            (control(Control::Close, &[3]), Fault::Protocol),
            (control(Control::Close, &1005_u16.to_be_bytes()), Fault::Protocol),
            (control(Control::Close, &999_u16.to_be_bytes()), Fault::Protocol),
            ([text("x", false), more(&half, true)].concat(), Fault::NotText),
            (control(Control::Close, &[0x03, 0xe8, 0xff]), Fault::NotText),
            (vast, Fault::TooLarge),
            (text(&"x".repeat(MAX_FRAME_BYTES + 1), true), Fault::TooLarge),
            (large, Fault::TooLarge),
        ] {
            let (all, end) = heard(&bytes);
            assert_eq!((all, end), (vec![], Err(fault)), "{:?}", &bytes[..bytes.len().min(16)]);
        }
    }

    #[test]
    fn the_largest_message_passes_whole_and_in_frames() {
        let largest = "x".repeat(MAX_FRAME_BYTES);
        let (first, second) = largest.split_at(100);
        let bytes = [text(&largest, true), text(first, false), more(second.as_bytes(), true)];
        let (all, end) = heard(&bytes.concat());
        assert_eq!((all, end), (vec![Heard::Text(largest.clone()), Heard::Text(largest)], Ok(())));
    }

    #[test]
    fn a_goodbye_tells_its_code() {
        assert_eq!(heard(&control(Control::Close, b"")).0, [Heard::Close(None)]);
        let away = [&1001_u16.to_be_bytes()[..], "ушёл".as_bytes()].concat();
        assert_eq!(heard(&control(Control::Close, &away)).0, [Heard::Close(Some(1001))]);
    }

    proptest! {
        #[test]
        fn however_bytes_are_cut_the_same_is_heard(
            parts in prop::collection::vec(("[a-zж]{0,300}", any::<bool>()), 1..6),
            cuts in prop::collection::vec(1usize..90, 1..40),
        ) {
            let mut bytes = Vec::new();
            for (part, with_ping) in &parts {
                let (first, second) = part.as_bytes().split_at(part.len() / 2);
                bytes.extend(frame(OpCode::Data(Data::Text), false, first));
                if *with_ping {
                    bytes.extend(control(Control::Ping, b"?"));
                }
                bytes.extend(more(second, true));
            }
            let (whole, end) = heard(&bytes);
            prop_assert_eq!(end, Ok(()));
            prop_assert_eq!(whole.iter().filter(|h| matches!(h, Heard::Text(_))).count(), parts.len());
            let mut incoming = Incoming::default();
            let (mut all, mut at, mut cut) = (Vec::new(), 0, cuts.iter().cycle());
            while at < bytes.len() {
                let to = bytes.len().min(at + cut.next().unwrap());
                incoming.push(&bytes[at..to]);
                at = to;
                while let Some(heard) = incoming.next().unwrap() {
                    all.push(heard);
                }
            }
            prop_assert_eq!(all, whole);
            prop_assert_eq!(incoming.held(), 0);
        }

        #[test]
        fn whatever_comes_it_is_heard_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let (_, _) = heard(&bytes);
        }
    }
}
