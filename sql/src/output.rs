//! Where rows go: to standard output, or to a file that is written beside its target and renamed at the end.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use tempfile::NamedTempFile;

use crate::cells;
use crate::json::Row;
use crate::stopped::SqlError;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for the eye; one row below the other where they are wide
    Table,
    /// With a header; what a struct holds in columns of its own
    Csv,
    /// Values alone, tabs between them: one value is itself
    Values,
    /// One object, schema softargmax.sql/1
    Json,
    /// One object a line
    Jsonl,
    /// Parquet (to a file)
    Parquet,
}

/// Takes batches, one after the other.
pub struct Output {
    format: Format,
    sink: Sink,
    /// Of the target, in messages.
    name: String,
    schema: SchemaRef,
    /// Of a table nothing is known until all of it is there.
    table: Vec<Vec<String>>,
    is_first: bool,
}

enum Sink {
    Stdout(BufWriter<io::Stdout>),
    File { file: BufWriter<NamedTempFile>, path: PathBuf },
    Parquet { writer: Box<ArrowWriter<NamedTempFile>>, path: PathBuf },
}

impl Output {
    /// Finds out whether there is anywhere to write to: a file, or standard output without one or for `-`.
    ///
    /// # Errors
    /// Where nothing can be written, or the format does not show in the name.
    pub fn open(
        path: Option<&Path>,
        format: Option<Format>,
        schema: SchemaRef,
    ) -> Result<Self, SqlError> {
        let path = path.filter(|path| *path != Path::new("-"));
        let name = path.map_or_else(|| "standard output".to_owned(), |p| p.display().to_string());
        let format = match (format, path) {
            (Some(format), _) => format,
            (None, None) => Format::Table,
            (None, Some(path)) => by_name(path)?,
        };
        let sink = match path {
            None if format == Format::Parquet => {
                return Err(SqlError::refused("Parquet cannot go to standard output")
                    .hint("name a file: -o FILE.parquet"));
            }
            None => Sink::Stdout(BufWriter::new(io::stdout())),
            Some(path) => {
                // A link stays a link: it is what it points to that is replaced.
                let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                let file = beside(&path, &name)?;
                match format {
                    Format::Parquet => {
                        let writer = ArrowWriter::try_new(file, schema.clone(), None);
                        let writer = writer
                            .map_err(|error| SqlError::refused(format!("{name}: {error}")))?;
                        Sink::Parquet { writer: Box::new(writer), path }
                    }
                    _ => Sink::File { file: BufWriter::new(file), path },
                }
            }
        };
        let mut output = Output { format, sink, name, schema, table: Vec::new(), is_first: true };
        if format == Format::Csv {
            let names = cells::names(&RecordBatch::new_empty(output.schema.clone()));
            output.text(&cells::csv(&names))?;
        }
        if format == Format::Json {
            output.text("{\"schema\":\"softargmax.sql/1\",\"rows\":[")?;
        }
        Ok(output)
    }

    /// Writes the rows of a batch.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        match self.format {
            Format::Table => self.table.extend(cells::rows(batch).map_err(SqlError::internal)?),
            Format::Csv => {
                for row in cells::rows(batch).map_err(SqlError::internal)? {
                    self.text(&cells::csv(&row))?;
                }
            }
            Format::Values => {
                for row in cells::rows(batch).map_err(SqlError::internal)? {
                    self.text(&(row.join("\t") + "\n"))?;
                }
            }
            Format::Json | Format::Jsonl => {
                for row in 0..batch.num_rows() {
                    let object =
                        serde_json::to_string(&Row { batch, row }).map_err(SqlError::internal)?;
                    let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
                    match self.format {
                        Format::Json => self.text(&format!("{comma}{object}"))?,
                        _ => self.text(&format!("{object}\n"))?,
                    }
                }
            }
            Format::Parquet => {
                if let Sink::Parquet { writer, .. } = &mut self.sink {
                    let written = writer.write(batch);
                    written.map_err(|error| {
                        SqlError::refused(format!("{}: cannot be written: {error}", self.name))
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Ends it, and puts a file in its place. Without this, nothing is left of it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<(), SqlError> {
        match self.format {
            Format::Table => {
                let names = cells::names(&RecordBatch::new_empty(self.schema.clone()));
                let table = cells::table(&names, &std::mem::take(&mut self.table));
                self.text(&table)?;
            }
            Format::Json => self.text("]}\n")?,
            _ => {}
        }
        let unwritten = |error: io::Error| SqlError::unwritten(&self.name, &error);
        let (file, path) = match self.sink {
            Sink::Stdout(mut stdout) => return stdout.flush().map_err(unwritten),
            Sink::File { file, path } => {
                (file.into_inner().map_err(|error| unwritten(error.into_error()))?, path)
            }
            Sink::Parquet { writer, path } => {
                (writer.into_inner().map_err(|error| unwritten(io::Error::other(error)))?, path)
            }
        };
        file.persist(&path).map(drop).map_err(|error| unwritten(error.error))
    }

    fn text(&mut self, text: &str) -> Result<(), SqlError> {
        let written = match &mut self.sink {
            Sink::Stdout(stdout) => stdout.write_all(text.as_bytes()),
            Sink::File { file, .. } => file.write_all(text.as_bytes()),
            Sink::Parquet { .. } => Ok(()),
        };
        written.map_err(|error| SqlError::unwritten(&self.name, &error))
    }
}

/// The format that the name of a file stands for.
fn by_name(path: &Path) -> Result<Format, SqlError> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("csv") => Ok(Format::Csv),
        Some("json") => Ok(Format::Json),
        Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
        Some("parquet") => Ok(Format::Parquet),
        Some("txt") => Ok(Format::Table),
        _ => Err(SqlError::refused(format!(
            "{}: the format does not show in this name",
            path.display()
        ))
        .hint("name it with --format table, csv, values, json, jsonl or parquet")),
    }
}

fn beside(path: &Path, name: &str) -> Result<NamedTempFile, SqlError> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".softargmax-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less what the umask takes; without this, only the owner could read the result.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let folder = folder.display();
            SqlError::refused(format!("{name}: the folder {folder} does not exist"))
                .hint(format!("mkdir -p {folder}"))
        }
        kind => SqlError::refused(format!("{name}: cannot be written: {kind}")),
    })
}
