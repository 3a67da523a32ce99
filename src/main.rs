//! The command `onetap`.

fn main() {}
