//! What receiver reports say about a stream.
