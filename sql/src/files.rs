//! Tables that are named by where they lie: `from 'logs/*.parquet'`.
//!
//! ```text
//! table names of a query that are no tables but paths → their files, all of one format → a table of that name
//! ```
//!
//! A name means a file, a folder or a glob. The engine would pass over files of another format, and take a path where
//! nothing lies for the name of a table; here both are told.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::broken;
use crate::refused::Refused;

/// Who refuses; in a message it goes without saying.
pub(crate) const FROM: &str = "from";

/// Which files a query reads, known to the session as tables.
pub struct FileTables;

impl FileTables {
    /// Makes every path that the query names a table of the session.
    ///
    /// # Errors
    /// What does not parse; [`Refused`] for a path where nothing lies, files of several formats, of no known format, that
    /// cannot be read, or whose columns are not the same, each by its name.
    pub async fn register(context: &SessionContext, query: &str) -> Result<()> {
        let state = context.state();
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(query, &dialect)?;
        for reference in state.resolve_table_references(&statement)? {
            let name = reference.table().to_owned();
            let is_path = name.contains(['/', '.', '*', '\\']);
            if is_path && !context.table_exist(reference.clone())? {
                let table = table(&state, &name).await?;
                context.register_table(reference, Arc::new(table))?;
            }
        }
        Ok(())
    }

    /// The files that a path means, in the order of their names.
    ///
    /// # Errors
    /// [`Refused`] where nothing lies there.
    pub async fn files(context: &SessionContext, path: &str) -> Result<Vec<String>> {
        found(&context.state(), path, &ListingTableUrl::parse(path)?).await
    }
}

/// Formats by the ends of names.
const FORMATS: [(&str, &[&str]); 4] = [
    ("parquet", &["parquet", "pq"]),
    ("csv", &["csv"]),
    ("json", &["json", "jsonl", "ndjson"]),
    ("arrow", &["arrow", "ipc", "feather"]),
];

const COMPRESSIONS: [&str; 4] = ["gz", "bz2", "xz", "zst"];

/// The end of a name, the format it stands for, and the compression around it.
pub(crate) fn format_of(name: &str) -> Option<(String, &'static str, Option<&str>)> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let mut ends = file.rsplit('.');
    let last = ends.next()?;
    let compression = COMPRESSIONS.into_iter().find(|&known| known == last);
    let end = if compression.is_some() { ends.next()? } else { last };
    let is_end = |(_, known): &&(&str, &[&str])| known.contains(&end);
    let (format, _) = FORMATS.iter().find(is_end)?;
    let whole = compression.map_or_else(|| end.to_owned(), |last| format!("{end}.{last}"));
    Some((whole, format, compression))
}

/// The files of a path; at least one.
async fn found(state: &SessionState, path: &str, url: &ListingTableUrl) -> Result<Vec<String>> {
    let hint = "name a file, a folder that ends in /, or a glob such as 'logs/*.parquet'";
    let files = list(state, url).await.map_err(|error| match Refused::within(&error) {
        Some(refused) => refused.clone(),
        None => Refused::argument(FROM, format!("'{path}': {}", error.strip_backtrace()), hint),
    })?;
    if files.is_empty() {
        return Err(
            Refused::argument(FROM, format!("'{path}': there is no such file"), hint).into()
        );
    }
    Ok(files)
}

async fn table(state: &SessionState, path: &str) -> Result<ListingTable> {
    let url = ListingTableUrl::parse(path)?;
    let refused = |reason: String, hint: &str| Refused::argument(FROM, reason, hint);
    let files = found(state, path, &url).await?;
    let first = &files[0];
    let unknown = |file: &str| {
        let hint = "files end in .parquet, .arrow, .csv, .json or .jsonl";
        refused(format!("{file}: its format does not show in its name"), hint)
    };
    let (end, format, compression) = format_of(first).ok_or_else(|| unknown(first))?;
    for file in &files {
        if format_of(file).ok_or_else(|| unknown(file))?.0 != end {
            let reason = format!("'{path}': {first} and {file} are not of one format");
            return Err(refused(reason, &format!("name those of one: '…/*.{end}'")).into());
        }
    }
    let options = compression.map(|kind| ("format.compression".to_owned(), kind.to_owned()));
    let factory = state.get_file_format_factory(format).ok_or_else(|| unknown(first))?;
    let is_json = format == "json" && compression.is_none();
    let format = factory.create(state, &options.into_iter().collect())?;
    let options = ListingOptions::new(Arc::clone(&format)).with_file_extension(end);
    let mut schema = schema(state, &url, &files, &options).await?;
    if is_json {
        schema = broken::with_lists_of_numbers(first, schema);
    }
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
    ListingTable::try_new(config)
}

/// What is done about a file that cannot be read.
pub(crate) const IS_IT_WHOLE: &str = "is it whole? leave it out, or write it again";

/// Why a file cannot be read: the innermost of the reasons, on one line.
pub(crate) fn cause(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.rsplit("caused by\n").next().unwrap_or_default().trim().replace('\n', " ");
    text.trim_start_matches("Arrow error: ").to_owned()
}

/// The files of a path in the order of their names, without those that are hidden. One that is empty is refused: the engine
/// would pass over it.
pub(crate) async fn list(state: &dyn Session, url: &ListingTableUrl) -> Result<Vec<String>> {
    let store = state.runtime_env().object_store(url)?;
    let files = url.list_all_files(state, store.as_ref(), "").await?;
    // As they are written in the file system, where they lie there.
    let root = if url.scheme() == "file" { "/" } else { "" };
    let named = files.map_ok(|file| (format!("{root}{}", file.location), file.size));
    let mut files = named.try_collect::<Vec<(String, u64)>>().await?;
    let is_hidden =
        |name: &str| name.rsplit('/').next().is_some_and(|file| file.starts_with(['.', '_']));
    files.retain(|(name, _)| !is_hidden(name));
    files.sort();
    if let Some((name, _)) = files.iter().find(|(_, size)| *size == 0) {
        return Err(Refused::argument(FROM, format!("{name}: is empty"), IS_IT_WHOLE).into());
    }
    Ok(files.into_iter().map(|(name, _)| name).collect())
}

/// What the files have in common. Where that is nothing, the two that do not go together are named.
async fn schema(
    state: &SessionState,
    url: &ListingTableUrl,
    files: &[String],
    options: &ListingOptions,
) -> Result<SchemaRef> {
    let whole = match options.infer_schema(state, url).await {
        Ok(whole) => whole,
        Err(error) => {
            let mut first: Option<(&String, SchemaRef)> = None;
            for file in files {
                let of_file = options.infer_schema(state, &ListingTableUrl::parse(file)?).await;
                let of_file = of_file.map_err(|error| {
                    let (reason, hint) = match broken::row(file, None) {
                        Some((row, why, hint)) => (format!("{file}: row {row}: {why}"), hint),
                        None => (format!("{file}: cannot be read: {}", cause(&error)), IS_IT_WHOLE),
                    };
                    Refused::argument(FROM, reason, hint)
                })?;
                match &first {
                    Some((other, schema)) => same_columns((other, schema), (file, &of_file))?,
                    None => first = Some((file, of_file)),
                }
            }
            return Err(error);
        }
    };
    Ok(whole)
}

fn same_columns(
    (first, columns): (&str, &SchemaRef),
    (second, others): (&str, &SchemaRef),
) -> Result<(), Refused> {
    for field in others.fields() {
        let Some((_, known)) = columns.column_with_name(field.name()) else { continue };
        if known.data_type() != field.data_type() {
            let (name, ours, theirs) = (field.name(), known.data_type(), field.data_type());
            let reason = format!("{second}: {name} is of the type {theirs}, in {first} of {ours}");
            let hint = "files of one table have the same columns; query them apart";
            return Err(Refused::argument(FROM, reason, hint));
        }
    }
    Ok(())
}

/// A table of one file among those of another table.
pub(crate) fn one_file(
    table: &ListingTable,
    file: &str,
    schema: SchemaRef,
) -> Result<ListingTable> {
    let config = ListingTableConfig::new(ListingTableUrl::parse(file)?);
    ListingTable::try_new(config.with_listing_options(table.options().clone()).with_schema(schema))
}
