//! What Ctrl-C leaves behind: nothing.
//!
//! A signal ends a process without running destructors, and with them the removal of its temporary
//! file. (Of `kill -9` no program hears; the target is whole then, too, but the temporary file stays.)

use std::path::Path;

#[cfg(unix)]
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

/// SIGINT and SIGTERM, held back from when the temporary file is made. (Not SIGHUP: to catch it would
/// undo nohup.)
///
/// Where signals cannot be watched everything works, only the file is left; hence no errors.
pub(super) struct Interrupts {
    #[cfg(unix)]
    signals: Option<Signals>,
}

#[cfg(unix)]
impl Interrupts {
    pub(super) fn hold() -> Self {
        Self { signals: Signals::new([SIGINT, SIGTERM]).ok() }
    }

    /// From now on they remove the file first, and then end the process as they would have, so that
    /// a shell loop around it stops as well.
    pub(super) fn remove(self, path: &Path) {
        let Some(mut signals) = self.signals else { return };
        let path = path.to_owned();
        let watch = move || {
            if let Some(signal) = signals.forever().next() {
                // Once the file was renamed into place, there is none of this name.
                _ = std::fs::remove_file(path);
                _ = emulate_default_handler(signal);
            }
        };
        _ = std::thread::Builder::new().name("interrupts".to_owned()).spawn(watch);
    }
}

#[cfg(not(unix))]
impl Interrupts {
    pub(super) fn hold() -> Self {
        Self {}
    }

    pub(super) fn remove(self, _path: &Path) {}
}
