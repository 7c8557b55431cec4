//! Whole transports, two at a time, without sockets, clocks or sleeps.

mod handshake;
mod network;
mod paths;
mod strangers;
