//! What must be known of payloads to forward them.
//!
//! Only descriptors and first bytes are read, so encrypted media works wherever its senders leave
//! those in the clear. Nothing here decodes.

pub mod av1;
pub mod dependency;
pub mod h264;
pub mod opus;
pub mod red;
pub mod vp8;
pub mod vp9;

pub use opus::opus_is_silence;

use crate::format::Codec;

/// Which part of a layered stream a packet belongs to. A stream without layers is layer 0 of both kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layer {
    /// Spatial layer, 0 the smallest.
    pub spatial: u8,
    /// Temporal layer, 0 the slowest.
    pub temporal: u8,
}

/// Whether a decoder that knows nothing can begin with this packet: the first packet of a
/// keyframe (or of the parameter sets in front of it). Every packet of audio is one.
pub fn is_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus | Codec::Red => true,
        Codec::Vp8 => vp8::is_keyframe(payload),
        Codec::Vp9 { .. } => vp9::is_keyframe(payload),
        Codec::Av1 { .. } => av1::is_keyframe(payload),
        Codec::H264 { .. } => h264::is_keyframe(payload),
    }
}

/// What forwarding must know of the frame that a packet is a piece of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its layer.
    pub layer: Layer,
    /// A receiver that had fewer temporal layers may go on from here with this one.
    pub may_rise: bool,
    /// A receiver that can show this frame can show all temporal layers up to this one from here on.
    pub opens: u8,
    /// The packet is the last one of its spatial layer's frame.
    pub ends_layer: bool,
    /// Number of the picture, where leaving one out must leave no gap: decoders of VP8 wait for it.
    pub picture: Option<u16>,
}

/// The frame of a packet, as far as its payload says. For AV1 the dependency descriptor says more; see
/// [`dependency::Structure`].
pub fn frame(codec: Codec, payload: &[u8]) -> Frame {
    match codec {
        Codec::Opus | Codec::Red | Codec::H264 { .. } => Frame::default(),
        Codec::Vp8 => {
            vp8::Descriptor::parse(payload).map_or(Frame::default(), |descriptor| Frame {
                layer: Layer { spatial: 0, temporal: descriptor.tid.unwrap_or(0) },
                may_rise: descriptor.y,
                picture: descriptor.picture_id,
                ..Frame::default()
            })
        }
        Codec::Vp9 { .. } => {
            vp9::Descriptor::parse(payload).map_or(Frame::default(), |descriptor| Frame {
                layer: descriptor.layer.unwrap_or_default(),
                may_rise: descriptor.is_switching_up_point,
                ends_layer: descriptor.is_end,
                ..Frame::default()
            })
        }
        // Encoders nest the temporal layers of AV1, so that one may rise everywhere.
        Codec::Av1 { .. } => {
            Frame { layer: av1::layer(payload), may_rise: true, ..Frame::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const ALL: [Codec; 6] = [
        Codec::Opus,
        Codec::Red,
        Codec::Vp8,
        Codec::Vp9 { profile: 0 },
        Codec::Av1 { profile: 0 },
        Codec::H264 { profile: 0x42e0, mode: 1 },
    ];

    proptest! {
        #[test]
        fn garbage_is_read_and_rewritten_within_its_bounds(
            payload in vec(prop_oneof![any::<u8>(), Just(0xff), Just(0x80), Just(0x18)], 0..64),
            picture_id_delta: u16,
            tl0_delta: u8,
        ) {
            for end in 0..=payload.len() {
                let payload = &payload[..end];
                for codec in ALL {
                    is_keyframe(codec, payload);
                    frame(codec, payload);
                }
                opus_is_silence(payload);
                opus::duration(payload);
                vp9::sizes(payload);
                let mut rewritten = payload.to_vec();
                vp8::rewrite(&mut rewritten, picture_id_delta, tl0_delta);
                vp9::rewrite(&mut rewritten, picture_id_delta, tl0_delta);
                prop_assert_eq!(rewritten.len(), end);
            }
        }
    }

    #[test]
    fn every_audio_packet_can_be_the_first_and_no_empty_video_packet_can() {
        for codec in ALL {
            assert_eq!(is_keyframe(codec, &[]), codec.kind() == protocol::Kind::Audio);
            assert_eq!(frame(codec, &[]).layer, Layer::default());
        }
    }
}
