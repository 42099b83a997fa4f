//! The file between `scan` and `merge`: JSON of exact sums.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use softargmax::{Scan, Tally, Temperature};

use crate::error::CliError;
use crate::output::Target;

const SCHEMA: &str = "softargmax.scan/1";

/// A summary has some tens of kilobytes; a file of more bytes is none of ours.
const MAX_BYTES: u64 = 1 << 26;

/// What a scan has seen.
#[derive(Deserialize, PartialEq, Serialize)]
pub(crate) struct Summary {
    schema: String,
    pub(crate) scan: Scan,
    pub(crate) tally: Option<Tallied>,
}

/// The metrics at a temperature.
#[derive(Deserialize, PartialEq, Serialize)]
pub(crate) struct Tallied {
    pub(crate) temperature: Temperature,
    pub(crate) tally: Tally,
}

impl Summary {
    pub(crate) fn new(scan: Scan, tally: Option<Tallied>) -> Self {
        Summary { schema: SCHEMA.to_owned(), scan, tally }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let name = path.display();
        let unread = |e| CliError::refused(format!("{name}: cannot be read: {e}"));
        let size = fs::metadata(path).map_err(unread)?.len();
        if size > MAX_BYTES {
            return Err(CliError::refused(format!("{name}: {size} bytes are too many for a scan")));
        }
        let text = fs::read(path).map_err(unread)?;
        let hint = "write it with softargmax scan LOGITS --labels LABELS -o FILE.json";
        let summary: Summary = serde_json::from_slice(&text)
            .map_err(|e| CliError::refused(format!("{name}: is not a scan: {e}")).hint(hint))?;
        if summary.schema != SCHEMA {
            let schema = &summary.schema;
            return Err(CliError::refused(format!("{name}: its schema is {schema}, not {SCHEMA}"))
                .hint(hint));
        }
        if summary.scan.classes() == 0 || !(summary.scan.weight() >= 0.0) {
            return Err(CliError::refused(format!("{name}: no rows can have such sums")).hint(hint));
        }
        Ok(summary)
    }

    pub(crate) fn write(&self, mut target: Target) -> Result<(), CliError> {
        let mut text = serde_json::to_vec(self).map_err(CliError::internal)?;
        text.push(b'\n');
        target.write(&text)?;
        target.finish()
    }

    /// Adds another one; the reason why that cannot be, if it cannot.
    pub(crate) fn merge(&mut self, other: &Summary) -> Result<(), String> {
        match (&mut self.tally, &other.tally) {
            (None, None) => {}
            (Some(mine), Some(theirs)) if mine.temperature == theirs.temperature => {
                mine.tally.merge(&theirs.tally);
            }
            (Some(mine), Some(theirs)) => {
                let (mine, theirs) = (mine.temperature, theirs.temperature);
                return Err(format!("one has a tally at {mine}, the other at {theirs}"));
            }
            _ => return Err("one has a tally, the other has none".to_owned()),
        }
        self.scan.merge(&other.scan).map_err(|error| error.to_string())
    }
}
