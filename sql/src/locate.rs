//! Where a row lies that a query was refused for.
//!
//! ```text
//! a function sees batches, not files: so after a refusal, file after file is gone through again,
//! with the same function on the same columns, one thread, in order, until the row turns up
//! ```

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;

use crate::broken;
use crate::files::{IS_IT_WHOLE, cause, list, one_file};
use crate::logits::{list_type, with_number};
use crate::refused::Refused;
use crate::tau;
use crate::temperature_fit::NEAR;
use crate::waiting::{Columns, Waiting};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The row in it, counted from 0; `None` where the file cannot be read that far.
    pub row: Option<u64>,
    /// What is wrong there.
    pub reason: String,
    /// What to do about it where nothing was refused.
    hint: &'static str,
}

const MEND: &str =
    "mend the row or leave it out; try_cast(… as double) gives NULL where cast stops";

impl Place {
    /// What to do about it: what the refusal says, or where there was none, what a row or a file that is broken needs.
    pub fn hint<'a>(&self, refused: Option<&'a Refused>) -> &'a str {
        refused.map_or(self.hint, Refused::hint)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "{}: row {row}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

/// Looks for what made a query fail in the files of its tables: a row that one of the functions of this package refuses, or
/// a file that cannot be read to its end.
///
/// Files are looked through as a whole, whatever the query leaves out. The first row refused for the same reason is taken.
pub async fn locate(
    context: &SessionContext,
    query: &str,
    failed: Option<&Refused>,
) -> Option<Place> {
    let plan = context.state().create_logical_plan(query).await.ok()?;
    let calls = calls(&plan).ok()?;
    let (mut first, mut widths) = (None, vec![None; calls.len()]);
    for table in tables(&plan).ok()? {
        let table = table.downcast_ref::<ListingTable>()?;
        for url in table.table_paths() {
            for file in list(&context.state(), url).await.ok()? {
                let found = search(context, table, &file, &calls, &mut widths, failed).await;
                let Some((place, is_it)) = found else { continue };
                let place = lacking(context, table, &file, &calls).await.unwrap_or(place);
                if is_it {
                    return Some(place);
                }
                first = first.or(Some(place));
            }
        }
    }
    first
}

/// Where a file lacks a column that others have, and all of it is NULL to the engine: that, in place of its first row.
async fn lacking(
    context: &SessionContext,
    table: &ListingTable,
    file: &str,
    calls: &[Expr],
) -> Option<Place> {
    let url = ListingTableUrl::parse(file).ok()?;
    let own = table.options().infer_schema(&context.state(), &url).await.ok()?;
    let whole = table.schema();
    let is_lacking = |name: &&str| {
        whole.column_with_name(name).is_some() && own.column_with_name(name).is_none()
    };
    let used = calls.iter().flat_map(|call| call.column_refs());
    let mut used: Vec<&str> = used.map(|column| column.name.as_str()).collect();
    used.sort_unstable();
    let name = used.into_iter().find(is_lacking)?;
    let there: Vec<&str> = own.fields().iter().map(|field| field.name().as_str()).collect();
    let reason = format!("there is no column {name}; there are: {}", there.join(", "));
    Some(Place { file: file.to_owned(), row: None, reason, hint: IS_IT_WHOLE })
}

/// The tables of a query.
fn tables(plan: &LogicalPlan) -> Result<Vec<Arc<dyn TableProvider>>> {
    let mut tables = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            tables.push(source_as_provider(&scan.source)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

/// The calls of this package's functions, their columns by name alone.
fn calls(plan: &LogicalPlan) -> Result<Vec<Expr>> {
    let mut calls = Vec::new();
    let scalars = crate::scalar_functions();
    let aggregates = crate::aggregate_functions();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|whole| {
            whole.apply(|expr| {
                let is_ours = match expr {
                    Expr::ScalarFunction(call) => {
                        scalars.iter().any(|ours| ours.name() == call.func.name())
                    }
                    Expr::AggregateFunction(call) => {
                        aggregates.iter().any(|ours| ours.name() == call.func.name())
                    }
                    _ => false,
                };
                if is_ours {
                    calls.push(unqualified(expr)?);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(calls)
}

fn unqualified(expr: &Expr) -> Result<Expr> {
    let by_name = |expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::from_name(column.name))),
            other => Transformed::no(other),
        })
    };
    Ok(expr.clone().transform(by_name)?.data)
}

/// The first row of a file that a call refuses, and whether it is for the reason that is looked for; else the end of what
/// can be read of it.
async fn search(
    context: &SessionContext,
    table: &ListingTable,
    file: &str,
    calls: &[Expr],
    widths: &mut [Option<usize>],
    failed: Option<&Refused>,
) -> Option<(Place, bool)> {
    let schema = table.schema();
    let is_here = |(call, _): &(&Expr, &mut Option<usize>)| {
        call.column_refs().iter().all(|column| schema.column_with_name(&column.name).is_some())
    };
    let calls: Vec<_> = calls.iter().zip(widths).filter(is_here).collect();
    let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    if failed.is_some() {
        let used: Vec<_> = calls.iter().flat_map(|(call, _)| call.column_refs()).collect();
        names.retain(|name| used.iter().any(|column| column.name == *name));
    }
    let in_order = SessionConfig::new().with_target_partitions(1);
    let alone = SessionContext::new_with_config_rt(in_order, context.runtime_env());
    let unreadable = |error: DataFusionError| {
        let (row, reason, hint) = match broken::row(file, Some(&schema)) {
            Some((row, why, hint)) => (Some(row), why, hint),
            None => (None, format!("cannot be read: {}", cause(&error)), IS_IT_WHOLE),
        };
        (Place { file: file.to_owned(), row, reason, hint }, failed.is_none())
    };
    let of_file = one_file(table, file, Arc::clone(&schema)).ok()?;
    let rows = alone.read_table(Arc::new(of_file)).ok()?.select_columns(&names).ok()?;
    let mut batches = match rows.execute_stream().await {
        Ok(batches) => batches,
        Err(error) => return Some(unreadable(error)),
    };
    let columns = DFSchema::try_from(batches.schema()).ok()?;
    let prepare = |(call, width)| Check::new(&alone, call, width, &columns);
    let mut checks = calls.into_iter().map(prepare).collect::<Result<Vec<Check>>>().ok()?;
    let (mut rows, mut first) = (0, None);
    while let Some(batch) = batches.next().await {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Some(unreadable(error)),
        };
        for check in &mut checks {
            if check.refuses(&batch).is_none() {
                continue;
            }
            for row in 0..batch.num_rows() {
                let Some(error) = check.refuses(&batch.slice(row, 1)) else { continue };
                let refused = Refused::within(&error);
                // What fails otherwise is an argument: a cast, a division.
                let is_it = failed == refused;
                let reason = refused.map_or_else(|| cause(&error), |of| of.reason().to_owned());
                let row = Some(rows + row as u64);
                let place = Place { file: file.to_owned(), row, reason, hint: MEND };
                if is_it {
                    return Some((place, true));
                }
                first = first.or(Some((place, false)));
            }
        }
        rows += batch.num_rows() as u64;
    }
    first
}

/// One call, to be tried on rows.
enum Check<'a> {
    /// A function of a row: itself.
    Row(Arc<dyn PhysicalExpr>),
    /// An aggregate: the rows it would take, of the width of the first of all files.
    Rows {
        columns: Vec<Arc<dyn PhysicalExpr>>,
        width: &'a mut Option<usize>,
        function: &'static str,
    },
}

impl<'a> Check<'a> {
    fn new(
        context: &SessionContext,
        call: &Expr,
        width: &'a mut Option<usize>,
        columns: &DFSchema,
    ) -> Result<Self> {
        let physical = |expr: &Expr| context.state().create_physical_expr(expr.clone(), columns);
        Ok(match call {
            Expr::AggregateFunction(aggregate) => {
                let ours = ["temperature_fit", NEAR, "temperature_scan", "calibration"];
                let is_it = |name: &&str| *name == aggregate.func.name();
                let function = ours.into_iter().find(is_it).unwrap_or("temperature_fit");
                let columns = aggregate.params.args.iter().map(physical).collect::<Result<_>>()?;
                Check::Rows { columns, width, function }
            }
            row => Check::Row(physical(row)?),
        })
    }

    fn refuses(&mut self, batch: &RecordBatch) -> Option<DataFusionError> {
        match self {
            Check::Row(call) => call.evaluate(batch).err(),
            Check::Rows { columns, width, function } => {
                let column = |expr: &Arc<dyn PhysicalExpr>| {
                    expr.evaluate(batch)?.into_array(batch.num_rows())
                };
                let columns: Vec<ArrayRef> = match columns.iter().map(column).collect() {
                    Ok(columns) => columns,
                    Err(error) => return Some(error),
                };
                let list = list_type(function, columns.first()?.data_type()).ok()?;
                let has_tau = ["calibration", NEAR].contains(function);
                let taus = columns.get(2).filter(|_| has_tau);
                let wrong = taus.and_then(|taus| match *function {
                    NEAR => tau::temperatures(function, taus).err(),
                    _ => tau::given(function, taus).err(),
                });
                if wrong.is_some() {
                    return wrong;
                }
                let weights = columns.get(if has_tau { 3 } else { 2 });
                with_number!(&list, T => {
                    let mut waiting = Waiting::<T>::of_width(function, **width);
                    let columns = Columns { logits: &columns[0], labels: columns.get(1)?, weights };
                    let added = waiting.add(columns, |_| Ok(()));
                    **width = width.or(waiting.width());
                    added.err()
                })
            }
        }
    }
}
