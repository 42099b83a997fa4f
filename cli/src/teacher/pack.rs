//! `softargmax teacher pack`: logits to a truncated teacher, in one pass.

use serde::Serialize;
use softargmax::{Rows, Temperature, TruncatedTeacher};

use super::format::{Header, MAX_TEMPERATURES, Stored, checksum};
use super::{InStep, Shape, TailMass};
use crate::apply;
use crate::args::{PackArgs, TeacherDtype};
use crate::error::CliError;
use crate::input::is_stream;
use crate::json;
use crate::output::Target;
use crate::progress::Progress;
use crate::report::teacher as report;

pub(super) fn run(args: &PackArgs) -> Result<(), CliError> {
    match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| pack(args)),
        None => pack(args),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    output: String,
    #[serde(flatten)]
    shape: Shape,
    tail: &'a [TailMass],
}

fn pack(args: &PackArgs) -> Result<(), CliError> {
    let is_to_stdout = is_stream(&args.output);
    if args.json && is_to_stdout {
        return Err(CliError::refused("standard output cannot take both the teacher and --json")
            .hint("name a file: -o teacher.sat"));
    }
    let temperatures = grid(&args.temperatures.expand(None)?)?;
    let mut target = Target::open(&args.output)?;
    let mut logits = InStep::open(&args.logits)?;
    let header = header(args, temperatures, &logits)?;
    if target.is_terminal() {
        return Err(CliError::refused("a packed teacher is not for terminals")
            .hint("name a file: -o teacher.sat"));
    }
    let rows = logits.source.rows();
    if rows.is_none() {
        target = target.into_patchable()?;
    }
    let mut tail = TailMass::at(&header.temperatures);
    target.write(&header.encode())?;
    let mut file = File { target, header, records: Vec::new(), pending: 0, block: 0 };
    let mut progress = Progress::new(rows);
    let mut done = 0;
    loop {
        let rows = logits.available()?;
        if rows == 0 {
            break;
        }
        let block =
            Rows::new(logits.take(rows), file.header.classes).map_err(CliError::internal)?;
        let teacher =
            TruncatedTeacher::from_logits(block, file.header.k, &file.header.temperatures)
                .map_err(|error| logits.refuse(rows, error))?;
        TailMass::add(&mut tail, &teacher).map_err(|error| logits.refuse(rows, error))?;
        file.write(&teacher, |row, x| {
            let place = logits.source.layout().place(done + row as u64);
            let (name, dtype) = (logits.source.name(), Stored::from(args.dtype).name());
            CliError::refused(format!("{name}: {place}: {x:e} is beyond the range of {dtype}"))
                .hint("store it in a wider type: --dtype bf16 or --dtype f32")
        })?;
        done += rows as u64;
        progress.advance(rows as u64);
    }
    drop(progress);
    let header = file.finish(done)?;
    logits.source.note_guesses();
    let output = args.output.display().to_string();
    if args.json {
        let (schema, shape) = ("softargmax.teacher.pack/1", Shape::of(&header));
        return json::print(&Document { schema, output, shape, tail: &tail });
    }
    if is_to_stdout { Ok(()) } else { report::print_pack(&output, &Shape::of(&header), &tail) }
}

impl From<TeacherDtype> for Stored {
    fn from(dtype: TeacherDtype) -> Self {
        match dtype {
            TeacherDtype::F16 => Stored::F16,
            TeacherDtype::Bf16 => Stored::Bf16,
            TeacherDtype::F32 => Stored::F32,
        }
    }
}

/// Ascending, as the file has them: as f64.
fn grid(temperatures: &[Temperature]) -> Result<Vec<Temperature>, CliError> {
    let mut taus: Vec<f64> = temperatures.iter().map(|tau| tau.tau()).collect();
    taus.sort_by(f64::total_cmp);
    taus.dedup();
    if let Some(tau) = taus.iter().find(|tau| !(**tau > 0.0 && **tau < f64::INFINITY)) {
        return Err(CliError::refused(format!("--temperatures: {tau} is not in a grid"))
            .hint("from above 0; at inf the tail is always known"));
    }
    if taus.len() > MAX_TEMPERATURES {
        let len = taus.len();
        return Err(CliError::refused(format!(
            "--temperatures: {len} are too many: at most {MAX_TEMPERATURES}"
        )));
    }
    taus.into_iter().map(|tau| Temperature::new(tau).map_err(CliError::internal)).collect()
}

fn header(
    args: &PackArgs,
    temperatures: Vec<Temperature>,
    logits: &InStep,
) -> Result<Header, CliError> {
    let (k, classes) = (args.top_k as usize, logits.classes());
    if k > classes {
        let name = logits.source.name();
        return Err(CliError::refused(format!("--top-k {k}: {name} has {classes} classes"))
            .hint(format!("--top-k {classes} keeps them all")));
    }
    let header = Header {
        stored: Stored::from(args.dtype),
        source: logits.source.dtype(),
        rows: logits.source.rows().unwrap_or(0),
        classes,
        k,
        block_rows: 1,
        temperatures,
    };
    Ok(header.with_blocks())
}

/// A file under way.
struct File {
    target: Target,
    header: Header,
    /// Of the block that is not full yet.
    records: Vec<u8>,
    pending: usize,
    block: u64,
}

impl File {
    fn write(
        &mut self,
        teacher: &TruncatedTeacher,
        refuse: impl Fn(usize, f64) -> CliError,
    ) -> Result<(), CliError> {
        let mut bytes = Vec::new();
        let encoded = self.header.encode_rows(teacher.parts(), &mut bytes);
        encoded.map_err(|(row, x)| refuse(row, x))?;
        for record in bytes.chunks_exact(self.header.record()) {
            self.records.extend(record);
            self.pending += 1;
            if self.pending == self.header.block_rows {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), CliError> {
        if self.pending > 0 {
            let checksum = checksum(self.block, &self.records);
            self.records.extend(checksum);
            self.target.write(&self.records)?;
            self.records.clear();
            (self.pending, self.block) = (0, self.block + 1);
        }
        Ok(())
    }

    /// Puts it in its place; the header has as many rows as were written.
    fn finish(mut self, rows: u64) -> Result<Header, CliError> {
        self.flush()?;
        if self.header.rows != rows {
            self.header.rows = rows;
            self.target.patch(&self.header.encode())?;
        }
        self.target.finish()?;
        Ok(self.header)
    }
}
