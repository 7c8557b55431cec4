//! veche
fn main() {}
