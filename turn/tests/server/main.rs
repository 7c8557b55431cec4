//! The server as its clients find it.

// The tests call this crate by the name that the workspace gives it.
extern crate veche_turn as turn;

mod audit;
mod client;
mod relay;
