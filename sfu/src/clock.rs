//! Publishers' clocks mapped to the server's.
