//! `softargmax teacher verify`: every checksum and every row of a packed teacher; and how far it is from its logits.
//!
//! ```text
//! beside the logits, row by row:  the classes must be the likeliest, their logits within the type's rounding
//! at every temperature of the grid, between each two, above the last and at inf: log Z, p of the head, mass of the tail
//! ```

use serde::Serialize;
use softargmax::{Rows, Temperature, TruncatedTeacher, log_sum_exp_rows, softmax_rows};

use super::format::Header;
use super::{InStep, Reader, Shape, TailMass};
use crate::apply;
use crate::args::VerifyArgs;
use crate::error::CliError;
use crate::json;
use crate::progress::Progress;
use crate::report::teacher as report;

/// Rows looked at together.
const ROWS: usize = 1 << 12;

pub(super) fn run(args: &VerifyArgs) -> Result<(), CliError> {
    match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| verify(args)),
        None => verify(args),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    file: &'a str,
    #[serde(flatten)]
    shape: Shape,
    blocks: u64,
    tail: &'a [TailMass],
    /// Null without logits.
    against: Option<&'a Against>,
}

/// The largest differences from the logits.
#[derive(Serialize)]
pub(crate) struct Against {
    pub(crate) logits: String,
    /// Of a logit that is kept.
    #[serde(serialize_with = "json::real")]
    pub(crate) logit_error: f64,
    pub(crate) at: Vec<At>,
}

/// At one temperature.
#[derive(Serialize)]
pub(crate) struct At {
    #[serde(serialize_with = "json::temperature")]
    pub(crate) temperature: Temperature,
    /// Whether the mass of the tail was stored for it.
    pub(crate) on_grid: bool,
    #[serde(serialize_with = "json::real")]
    pub(crate) log_z_error: f64,
    /// What interpolation can make of it at most.
    #[serde(serialize_with = "json::real")]
    pub(crate) log_z_bound: f64,
    /// Of a class that is kept.
    #[serde(serialize_with = "json::real")]
    pub(crate) probability_error: f64,
    #[serde(serialize_with = "json::real")]
    pub(crate) tail_error: f64,
}

fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    InStep::expect_one_stream(&[Some(&args.file), args.against.as_deref()])?;
    let mut teacher = Reader::open(&args.file)?;
    let mut beside = match &args.against {
        Some(path) => Some((InStep::open(path)?, Against::new(&teacher.header))),
        None => None,
    };
    if let Some((logits, against)) = &mut beside {
        against.logits = logits.source.name().to_owned();
        expect_shape(&teacher, logits)?;
    }
    let mut tail = TailMass::at(&teacher.header.temperatures);
    let mut progress = Progress::new(Some(teacher.header.rows));
    loop {
        let mut rows = teacher.available()?.min((ROWS * 64 / teacher.header.k).clamp(1, ROWS));
        if let Some((logits, _)) = &mut beside {
            let there = logits.available()?;
            if (rows == 0) != (there == 0) {
                return Err(other_rows(&teacher, logits));
            }
            rows = rows.min(there);
        }
        if rows == 0 {
            break;
        }
        let block = teacher.take(rows)?;
        let far = |error| CliError::refused(format!("{}: {error}", teacher.name()));
        TailMass::add(&mut tail, &block).map_err(far)?;
        if let Some((logits, against)) = &mut beside {
            against.add(&block, &teacher, logits, rows)?;
        }
        progress.advance(rows as u64);
    }
    drop(progress);
    let (file, shape) = (teacher.name(), Shape::of(&teacher.header));
    let blocks = teacher.header.blocks();
    let against = beside.as_ref().map(|(_, against)| against);
    if args.json {
        let schema = "softargmax.teacher.verify/1";
        return json::print(&Document { schema, file, shape, blocks, tail: &tail, against });
    }
    report::print_verify(file, &shape, blocks, &tail, against)
}

fn expect_shape(teacher: &Reader, logits: &InStep) -> Result<(), CliError> {
    let (name, classes) = (logits.source.name(), logits.classes());
    if classes != teacher.header.classes {
        let (of_teacher, teacher) = (teacher.header.classes, teacher.name());
        return Err(CliError::refused(format!(
            "{name} has {classes} classes, and {teacher} has {of_teacher}"
        ))
        .hint("these are not the logits it was packed from"));
    }
    match logits.source.rows() {
        Some(rows) if rows != teacher.header.rows => Err(other_rows(teacher, logits)),
        _ => Ok(()),
    }
}

fn other_rows(teacher: &Reader, logits: &InStep) -> CliError {
    let (name, of) = (logits.source.name(), teacher.header.rows);
    let rows =
        logits.source.rows().map_or("another number of rows".to_owned(), |rows| match rows {
            1 => "1 row".to_owned(),
            rows => format!("{rows} rows"),
        });
    CliError::refused(format!("{name} has {rows}, and {} has {of}", teacher.name()))
        .hint("these are not the logits it was packed from")
}

impl Against {
    fn new(header: &Header) -> Self {
        let taus: Vec<f64> = header.temperatures.iter().map(|tau| tau.tau()).collect();
        // Where the cubic is farthest from both of its ends; the last ends at 1/T = 0.
        let between = taus.windows(2).map(|pair| 2.0 / (1.0 / pair[0] + 1.0 / pair[1]));
        let above = taus.last().map(|tau| 2.0 * tau);
        let mut all: Vec<(f64, bool)> = between.chain(above).map(|tau| (tau, false)).collect();
        all.extend(taus.iter().map(|&tau| (tau, true)));
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.push((f64::INFINITY, true));
        let at = all.into_iter().filter_map(|(tau, on_grid)| {
            let temperature = Temperature::new(tau).ok()?;
            let (log_z_error, log_z_bound, probability_error, tail_error) = Default::default();
            Some(At {
                temperature,
                on_grid,
                log_z_error,
                log_z_bound,
                probability_error,
                tail_error,
            })
        });
        Against { logits: String::new(), logit_error: 0.0, at: at.collect() }
    }

    fn add(
        &mut self,
        teacher: &TruncatedTeacher,
        file: &Reader,
        logits: &mut InStep,
        rows: usize,
    ) -> Result<(), CliError> {
        let (parts, classes) = (teacher.parts(), teacher.classes());
        let numbers = logits.take(rows).to_vec();
        let full = Rows::new(&numbers, classes).map_err(CliError::internal)?;
        let kept = TruncatedTeacher::from_logits(full, parts.k, &parts.temperatures);
        let kept = kept.map_err(|error| logits.refuse(rows, error))?;
        self.compare_head(teacher, &kept, file, logits, rows)?;
        for at in &mut self.at {
            let refuse = |error| logits.refuse(rows, error);
            let got = teacher.statistics(at.temperature).map_err(refuse)?;
            let log_z = log_sum_exp_rows(full, at.temperature).map_err(refuse)?;
            let p = softmax_rows(full, at.temperature).map_err(refuse)?;
            for (row, got) in got.iter().enumerate() {
                at.log_z_error = at.log_z_error.max((got.log_z - log_z[row]).abs());
                at.log_z_bound = at.log_z_bound.max(got.log_z_error);
                let (ids, p) = (&parts.ids[row * parts.k..], &p[row * classes..]);
                let (mut rest, scale) = (p[..classes].to_vec(), at.temperature.scale());
                for (&id, v) in ids.iter().zip(&parts.logits[row * parts.k..(row + 1) * parts.k]) {
                    let share = std::mem::take(&mut rest[id as usize]);
                    // v·0 of a mask would be no number.
                    let stored = if *v == f64::NEG_INFINITY {
                        0.0
                    } else {
                        libm::exp(v * scale - got.log_z)
                    };
                    at.probability_error = at.probability_error.max((stored - share).abs());
                }
                at.tail_error = at.tail_error.max((got.tail - rest.iter().sum::<f64>()).abs());
            }
        }
        Ok(())
    }

    /// The classes must be those of the logits, and their logits what rounding makes of them.
    fn compare_head(
        &mut self,
        teacher: &TruncatedTeacher,
        kept: &TruncatedTeacher,
        file: &Reader,
        logits: &InStep,
        rows: usize,
    ) -> Result<(), CliError> {
        let (got, want) = (teacher.parts(), kept.parts());
        for (i, (&id, &best)) in got.ids.iter().zip(&want.ids).enumerate() {
            let (row, v) = (i / got.k, got.logits[i]);
            let other = |reason: String| {
                let place = logits.place(rows, row);
                CliError::refused(format!("{}: {place}: {reason}", file.name()))
                    .hint("these are not the logits it was packed from")
            };
            let name = logits.source.name();
            if id != best {
                return Err(other(format!(
                    "it keeps class {id}, where in {name} {best} is likelier"
                )));
            }
            let exact = want.logits[i];
            let error = if v == exact { 0.0 } else { (v - exact).abs() };
            let top = want.logits[row * got.k..(row + 1) * got.k]
                .iter()
                .fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let stored = file.header.stored;
            let less = if stored.holds(file.header.source) { exact } else { exact - top };
            if !(error <= stored.half_ulp(less) + 2.3e-16 * (top.abs() + exact.abs()) || v == exact)
            {
                return Err(other(format!("class {id} has logit {v}, and in {name} {exact}")));
            }
            self.logit_error = self.logit_error.max(error);
        }
        Ok(())
    }
}
