//! The packets of a stream that can still be asked for again.
