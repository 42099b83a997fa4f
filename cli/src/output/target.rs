//! Where the bytes of an output go.
//!
//! A file is written beside its target under another name and renamed into place at the end: whoever
//! looks sees the old file or the whole new one, an output may replace its own input, and a run that
//! fails leaves nothing. What is not a file (a device, a named pipe) must not be renamed over and is
//! written to directly.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::interrupt::Interrupts;
use crate::error::CliError;
use crate::input::is_stream;

pub(crate) enum Target {
    File {
        file: NamedTempFile,
        path: PathBuf,
        name: String,
    },
    Device {
        file: File,
        name: String,
    },
    Stdout,
    /// Held back in a nameless file, to be changed at the beginning before it goes on.
    Spool {
        file: File,
        then: Box<Target>,
    },
}

impl Target {
    /// Finds out whether there is anywhere to write to, before any work is done.
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        if is_stream(path) {
            return Ok(Target::Stdout);
        }
        let name = path.display().to_string();
        // A link stays a link: it is what it points to that is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let Ok(existing) = fs::metadata(&path) else {
            let file = beside(&path, &name)?;
            return Ok(Target::File { file, path, name });
        };
        // Renaming asks the folder for permission; what protects a file is asked here.
        let opened = OpenOptions::new().write(true).open(&path);
        let file = opened.map_err(|e| refused(&name, &e))?;
        if !existing.is_file() {
            return Ok(Target::Device { file, name });
        }
        let file = beside(&path, &name)?;
        let kept = file.as_file().set_permissions(existing.permissions());
        kept.map_err(|e| refused(&name, &e))?;
        Ok(Target::File { file, path, name })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Target::Stdout => io::stdout().is_terminal(),
            Target::Device { file, .. } => file.is_terminal(),
            Target::File { .. } | Target::Spool { .. } => false,
        }
    }

    /// The same target, whose first bytes can be changed until it is finished.
    pub(crate) fn into_patchable(self) -> Result<Self, CliError> {
        match self {
            Target::File { .. } | Target::Spool { .. } => Ok(self),
            Target::Device { .. } | Target::Stdout => {
                let file = tempfile::tempfile().map_err(|e| refused_spool(&e))?;
                Ok(Target::Spool { file, then: Box::new(self) })
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = match self {
            // By way of the bare file, whose errors do not mention the temporary name.
            Target::File { file, .. } => file.as_file_mut().write_all(bytes),
            Target::Device { file, .. } | Target::Spool { file, .. } => file.write_all(bytes),
            Target::Stdout => io::stdout().write_all(bytes),
        };
        written.map_err(|e| self.refused(e))
    }

    /// Replaces the first bytes of a target made by [`Target::into_patchable`].
    pub(crate) fn patch(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let rewound = match self {
            Target::File { file, .. } => file.as_file_mut().rewind(),
            Target::Spool { file, .. } => file.rewind(),
            Target::Device { .. } | Target::Stdout => {
                return Err(CliError::internal("what went to a stream cannot be changed"));
            }
        };
        rewound.map_err(|e| self.refused(e))?;
        self.write(bytes)
    }

    /// Puts the output in its place.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        match self {
            Target::File { file, path, name } => {
                file.persist(&path).map(drop).map_err(|e| refused(&name, &e.error))
            }
            Target::Device { .. } => Ok(()),
            Target::Stdout => io::stdout().flush().map_err(CliError::stdout),
            Target::Spool { mut file, mut then } => {
                file.rewind().map_err(|e| refused_spool(&e))?;
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    match file.read(&mut buffer).map_err(|e| refused_spool(&e))? {
                        0 => return then.finish(),
                        len => then.write(&buffer[..len])?,
                    }
                }
            }
        }
    }

    fn refused(&self, error: io::Error) -> CliError {
        match self {
            Target::File { name, .. } | Target::Device { name, .. } => refused(name, &error),
            Target::Stdout => CliError::stdout(error),
            Target::Spool { .. } => refused_spool(&error),
        }
    }
}

/// A new file in the folder of `path`, with the permissions of any new file there.
fn beside(path: &Path, name: &str) -> Result<NamedTempFile, CliError> {
    let folder = match path.parent() {
        Some(folder) if folder != OsStr::new("") => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".softargmax-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less what the umask takes; without this, only the owner could read the result.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let interrupts = Interrupts::hold();
    let file = builder.tempfile_in(folder).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            let folder = folder.display();
            CliError::refused(format!("{name}: the folder {folder} does not exist"))
                .hint(format!("mkdir -p {folder}"))
        }
        // The error itself names the temporary file, which means nothing to the user.
        kind => CliError::refused(format!("{name}: cannot be written: {kind}")),
    })?;
    interrupts.remove(file.path());
    Ok(file)
}

fn refused(name: &str, error: &io::Error) -> CliError {
    let refused = CliError::refused(format!("{name}: cannot be written: {error}"));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            refused.hint("make room, or write to another disk; nothing was left behind")
        }
        io::ErrorKind::IsADirectory => refused.hint("name a file in that folder"),
        _ => refused,
    }
}

fn refused_spool(error: &io::Error) -> CliError {
    let folder = std::env::temp_dir();
    CliError::refused(format!("{}: cannot hold the output back: {error}", folder.display())).hint(
        "the number of rows stands at the beginning of .npy: use --format csv, or -o FILE.npy",
    )
}
