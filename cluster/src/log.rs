//! What the engine says about its work, on standard error.

use log::{LevelFilter, Log, Metadata, Record};

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("{} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

/// Everything of note, or of those that work for others errors alone; what a client is told, it says in its own words.
pub(crate) fn start(is_verbose: bool, is_node: bool) {
    log::set_max_level(match (is_verbose, is_node) {
        (true, _) => LevelFilter::Info,
        (false, true) => LevelFilter::Error,
        (false, false) => LevelFilter::Off,
    });
    // Fails only where there is a logger already, and there is none.
    let _ = log::set_logger(&Lines);
}
