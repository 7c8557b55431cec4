//! RTCP packets on the wire.
