//! `softargmax sql`: hands over to the program `softargmax-sql`, as git does with its subcommands.
//!
//! The engine is many times as large as this program, so it is a package of its own.

use std::env;
use std::io::ErrorKind;
use std::process::{Command, ExitCode};

use crate::error::CliError;

const PROGRAM: &str = "softargmax-sql";

/// Runs it with all that follows the verb, as it was typed, and ends as it does.
pub(crate) fn run() -> Result<ExitCode, CliError> {
    // The one that was built or installed with this program comes first.
    let file = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join(file)));
    let program = beside.filter(|path| path.is_file()).unwrap_or_else(|| PROGRAM.into());
    let status = Command::new(program).args(env::args_os().skip(2)).status();
    let status = status.map_err(|error| match error.kind() {
        ErrorKind::NotFound => CliError::refused(format!("{PROGRAM} is not installed"))
            .hint("cargo install --path sql, in the repository, puts it beside softargmax"),
        _ => CliError::refused(format!("{PROGRAM}: cannot be started: {error}")),
    })?;
    // A signal ended it; what it had to say it has said.
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)))
}
