#![no_main]

#[path = "../socket.rs"]
mod socket;

libfuzzer_sys::fuzz_target!(|input: &[u8]| socket::socket(input));
