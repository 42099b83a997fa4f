//! `softargmax scan`: rows with labels to a small summary, in one pass; `merge` works out the temperature.

pub(crate) mod file;
pub(crate) mod merge;

use softargmax::{Scan, Tally, Temperatures};

use crate::apply;
use crate::args::ScanArgs;
use crate::error::CliError;
use crate::labelled::Labelled;
use crate::output::Target;
use file::{Summary, Tallied};

/// From 2^-8 to 2^8.
const OCTAVES: [i32; 2] = [-8, 8];

pub(crate) fn run(args: &ScanArgs) -> Result<(), CliError> {
    match apply::threads(args.threads)? {
        Some(pool) => pool.install(|| scan(args)),
        None => scan(args),
    }
}

fn scan(args: &ScanArgs) -> Result<(), CliError> {
    if let Some(tau) = args.around.filter(|tau| tau.is_zero() || tau.is_infinite()) {
        return Err(CliError::refused(format!("--around {tau} has nothing on both sides"))
            .hint("give the temperature that merge found"));
    }
    let target = Target::open(&args.output)?;
    let mut labelled = Labelled::open(&args.data, None, false)?;
    let mut scan = match args.around {
        Some(tau) => Scan::around(labelled.classes(), tau),
        None => Scan::over_octaves(labelled.classes(), OCTAVES[0], OCTAVES[1]),
    };
    let mut tally = args.tally.map(|temperature| Tallied { temperature, tally: Tally::default() });
    let all = |_: usize| true;
    labelled.pass(|block| {
        block.add_to(&mut scan, &all)?;
        if let Some(Tallied { temperature, tally }) = &mut tally {
            tally.add(&block.scores(&all, Temperatures::One(*temperature))?);
        }
        Ok(())
    })?;
    Summary::new(scan, tally).write(target)?;
    labelled.note_looks();
    Ok(())
}
