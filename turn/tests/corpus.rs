//! Replays the fuzzer's corpus through the function that it calls.

// The fuzz targets call this crate by the name that the workspace gives it.
extern crate veche_turn as turn;

#[path = "../../fuzz/relay.rs"]
mod relay;
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn turn() {
    replay::replay("turn", 10, relay::turn);
}
