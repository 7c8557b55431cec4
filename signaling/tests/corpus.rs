//! Replays the fuzzer's corpus through the function that it calls.

#[path = "../../fuzz/replay.rs"]
mod replay;
#[path = "../../fuzz/socket.rs"]
mod socket;

#[test]
fn socket() {
    replay::replay("socket", 10, socket::socket);
}
