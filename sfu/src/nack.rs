//! Which packets of a stream are missing, and when to ask for them.
