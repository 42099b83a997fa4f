//! One program of tests: it takes longer to link than to run.

mod aggregates;
mod documents;
mod functions;
#[path = "../../examples/logs.rs"]
#[allow(dead_code)] // its main
mod logs;
mod program;
mod rows;
mod same_bits;
