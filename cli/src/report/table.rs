//! A table on standard output, every column aligned to the right.

use std::io::{self, Write};

use anstyle::Style;
use tabwriter::{Alignment, TabWriter};

use crate::error::CliError;

/// Cells with their styles; the columns get their widths when it is printed.
pub(super) struct Table(TabWriter<Vec<u8>>);

impl Table {
    pub(super) fn new<'a>(headings: impl IntoIterator<Item = &'a str>) -> Self {
        let mut table =
            Self(TabWriter::new(Vec::new()).alignment(Alignment::Right).padding(2).ansi(true));
        let bold = Style::new().bold();
        table.row(headings.into_iter().map(|heading| format!("{bold}{heading}{bold:#}")));
        table
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // The writer holds everything in memory until it is flushed: it cannot fail here.
        for cell in cells {
            let _ = write!(self.0, "{cell}\t");
        }
        let _ = writeln!(self.0);
    }

    /// Prints it, with its styles where standard output shows them.
    pub(super) fn print(self) -> Result<(), CliError> {
        let text = self.0.into_inner().map_err(CliError::internal)?;
        let text = String::from_utf8(text).map_err(CliError::internal)?;
        // The last column has its padding on the right, too.
        print(|out| text.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end())))
    }
}

/// Writes to standard output what `write` gives, less its styles where they would be noise.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    write(&mut out).and_then(|()| out.flush()).map_err(CliError::stdout)
}
