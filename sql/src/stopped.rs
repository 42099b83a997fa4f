//! What a program of the engine says when it cannot go on, and the code it exits with.

use std::fmt;
use std::io;
use std::process::ExitCode;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::files::FROM;
use crate::refused::Refused;

/// Why the program stopped: what was wrong, and perhaps what to do about it.
#[derive(Debug)]
pub struct SqlError {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl SqlError {
    /// The input is not what it must be; exit code 2.
    pub fn refused(message: impl fmt::Display) -> Self {
        SqlError { code: 2, message: message.to_string(), hint: None }
    }

    /// Something that cannot happen did; exit code 1.
    pub fn internal(message: impl fmt::Display) -> Self {
        SqlError { code: 1, message: message.to_string(), hint: None }
    }

    /// Writing failed. Whoever read standard output has read enough where the pipe is broken: that is not an error.
    pub(crate) fn unwritten(name: &str, error: &io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::BrokenPipe { 0 } else { 2 };
        SqlError { code, ..SqlError::refused(format!("{name}: cannot be written: {error}")) }
    }

    /// The same error with a line that says what to do.
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        SqlError { hint: Some(hint.to_string()), ..self }
    }

    /// Prints it, and tells the code to exit with.
    pub fn report(&self) -> ExitCode {
        if self.code != 0 {
            eprintln!("{self}");
        }
        ExitCode::from(self.code)
    }
}

impl std::error::Error for SqlError {}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.code == 1 { "internal error" } else { "error" };
        write!(f, "{name}: {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        if let Some(refused) = Refused::within(&error) {
            let message = match refused.function() {
                FROM => refused.reason().to_owned(),
                function => format!("{function}: {}", refused.reason()),
            };
            return SqlError::refused(message).hint(refused.hint());
        }
        let root = error.find_root();
        if let DataFusionError::SchemaError(what, _) = root
            && let SchemaError::FieldNotFound { field, valid_fields } = what.as_ref()
        {
            let names: Vec<&str> = valid_fields.iter().map(|column| column.name()).collect();
            let message = format!("there is no column {}", field.name());
            return SqlError::refused(message).hint(format!("there are: {}", names.join(", ")));
        }
        let text = match root {
            DataFusionError::SQL(error, _) => error.to_string(),
            DataFusionError::Plan(said) | DataFusionError::Execution(said) => said.clone(),
            other => other.strip_backtrace(),
        };
        let text = text.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or_default().trim();
        let said = text.split_once(": ").map_or(text, |(_, said)| said);
        if let Some(table) =
            said.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"))
        {
            let name = table.rsplit('.').next().unwrap_or(table);
            return SqlError::refused(format!("there is no table {name}"))
                .hint("tables are files: from 'logs/*.parquet'");
        }
        match (root, text.split_once("\nDid you mean ")) {
            (DataFusionError::Internal(_), _) => SqlError::internal(text),
            (_, Some((said, other))) => {
                SqlError::refused(said).hint(format!("did you mean {other}"))
            }
            _ => SqlError::refused(text),
        }
    }
}
