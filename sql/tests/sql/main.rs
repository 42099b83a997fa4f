//! One program of tests: it takes longer to link than to run.

mod aggregates;
mod functions;
mod program;
mod rows;
