#![forbid(unsafe_code)]
//! The program `softargmax-cluster`: to come.

fn main() {}
