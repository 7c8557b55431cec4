//! RTP packets on the wire.
