//! A progress bar for those who wait: on standard error if that is a terminal, after a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done in less needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    is_shown: bool,
}

impl Progress {
    /// Begins to count up to `rows`, if that is known.
    pub(crate) fn new(rows: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(rows, ProgressDrawTarget::hidden());
        let template = match rows {
            Some(_) => "{wide_bar} {human_pos}/{human_len} rows, {eta} left",
            None => "{spinner} {human_pos} rows, {elapsed}",
        };
        // A template that does not parse is no reason not to do the work.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, begun: Instant::now(), is_shown: false }
    }

    pub(crate) fn advance(&mut self, rows: u64) {
        self.bar.inc(rows);
        if !self.is_shown && self.begun.elapsed() >= PATIENCE {
            // This target draws on terminals only.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.is_shown = true;
        }
    }
}

/// Also on the way out with an error, whose message then stands alone.
impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
