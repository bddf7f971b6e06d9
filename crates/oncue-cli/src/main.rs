//! The oncue command.
fn main() {}
