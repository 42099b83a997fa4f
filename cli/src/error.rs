//! What the program says when it cannot go on, and the code it exits with.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Why a verb stopped: what was wrong and where, perhaps with what to do about it.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// The input, the usage or the surroundings: the user can do something about it.
    Refused,
    /// A fault of this program.
    Internal,
    /// Whoever read standard output has read enough. Not an error: nothing is printed.
    BrokenPipe,
}

impl CliError {
    /// The input is not what it must be; exit code 2.
    pub(crate) fn refused(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Refused, message: message.to_string(), hint: None }
    }

    /// Something that cannot happen did; exit code 1.
    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Internal, message: message.to_string(), hint: None }
    }

    /// Writing to standard output failed.
    pub(crate) fn stdout(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => Kind::BrokenPipe,
            _ => Kind::Refused,
        };
        Self { kind, message: format!("cannot write to standard output: {error}"), hint: None }
    }

    /// The same error with a line that says what to do.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The same error of something that has a name.
    pub(crate) fn within(mut self, name: &str) -> Self {
        self.message = format!("{name}: {}", self.message);
        self
    }

    /// What is to be printed on standard error, if anything.
    pub(crate) fn report(&self) -> Option<String> {
        (self.kind != Kind::BrokenPipe).then(|| self.to_string())
    }

    /// The code to exit with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::BrokenPipe => ExitCode::SUCCESS,
            Kind::Internal => ExitCode::from(1),
            Kind::Refused => ExitCode::from(2),
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.kind == Kind::Internal { "internal error" } else { "error" };
        write!(f, "{name}: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CliError {}
