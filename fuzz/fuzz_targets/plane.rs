#![no_main]

#[path = "../plane.rs"]
mod plane;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    plane::run(input);
});
