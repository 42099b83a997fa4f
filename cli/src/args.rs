//! What the user typed: every verb, its flags and its help, checked but not yet acted upon.
//!
//! `--help`, the shell completions and `docs/cli.md` are all made from the records in this file, so
//! they cannot disagree.

mod contrast;
mod fit;
mod labelled;
mod report;
mod sample;
mod scan;
mod teacher;
mod top_k;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use softargmax::{Target, Temperature};

pub(crate) use contrast::ContrastArgs;
pub(crate) use fit::{EvalArgs, FitArgs, ModelChoice, Rule};
pub(crate) use labelled::{Content, LabelledArgs};
pub(crate) use report::ReportArgs;
pub(crate) use sample::{ChanceArgs, Method, ParameterArgs, Preset, SampleArgs, TemperatureOrder};
pub(crate) use scan::{MergeArgs, ScanArgs};
pub(crate) use teacher::{
    AuditArgs, DistillArgs, PackArgs, TeacherArgs, TeacherDtype, TeacherVerb, VerifyArgs,
};

pub(crate) use top_k::TopKArgs;

use crate::error::CliError;
use crate::sweep::temperatures::TemperatureList;

/// Softmax with temperature, p_i = exp(x_i/τ) / Σ_j exp(x_j/τ), exact to a couple of ULP.
///
/// A low temperature sharpens the distribution towards the arg max, a high one flattens it towards
/// uniform; 0 and inf are those limits.
#[derive(Debug, Parser)]
#[command(
    name = "softargmax",
    version,
    after_help = "\
Examples:
  softargmax sweep 1 5 7 10
  softargmax apply logits.npy -t 1.8 -o probs.npy
  softargmax solve 1 5 7 10 --perplexity 2

Exit codes: 0 done · 1 internal error · 2 refused: bad input or usage · 3 no temperature does it · 4 a check failed"
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl CommandLine {
    /// Parses the arguments of this process; prints help or what is wrong, and exits, where those
    /// are all there is to do.
    pub(crate) fn from_process() -> Self {
        Self::parse_from(std::env::args_os().map(shield_negative))
    }
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Sweep(SweepArgs),
    Apply(ApplyArgs),
    Solve(SolveArgs),
    Sample(SampleArgs),
    Fit(FitArgs),
    Eval(EvalArgs),
    Report(ReportArgs),
    Scan(ScanArgs),
    Merge(MergeArgs),
    Distill(DistillArgs),
    Teacher(TeacherArgs),
    Contrast(ContrastArgs),
    Sql(SqlArgs),
    Completions(CompletionsArgs),
    /// Print docs/cli.md.
    #[command(hide = true)]
    HelpMarkdown,
}

/// Show what temperature does: to a few logits, or to a whole file.
///
/// Numbers give the distribution at every temperature, with its entropy (in nats), its perplexity
/// exp(entropy), and its total variation distance ½Σ|p−q| to the one-hot arg max (ties share it)
/// and to uniform. A file gives, at every temperature, means over its rows (perplexity: exp of the
/// mean entropy), and how many rows give their arg max more than 0.5, 0.9 and 0.99.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax sweep 1 5 7 10 --temperatures 0.1,1,10,100,10000
  softargmax sweep -1 0.5 -inf 2 --temperatures 0,0.01..100,inf --steps 9 --plot sweep.svg
  softargmax sweep logits.npy --json")]
pub(crate) struct SweepArgs {
    /// Logits, or one file of them, a row each, in any format; FILE:COLUMN names a column (`-`: standard input)
    ///
    /// What reads as a number is a number: write ./1 for a file called 1.
    #[arg(required = true, value_name = "LOGITS", allow_negative_numbers = true)]
    pub(crate) logits: Vec<OsString>,

    /// Temperatures and ranges, with commas between: 0,0.01..100,inf
    ///
    /// Each is a decimal number from 0 up or a fraction like 1/3, taken to mean exactly what is
    /// written, or `inf`. A range is spaced evenly on a log axis; its ends are used as typed, the
    /// points between are rounded to a short decimal first, so that what is printed is what was used.
    #[arg(
        short,
        long,
        value_name = "LIST",
        default_value = "0,0.1,0.5,1,2,5,10,inf",
        allow_hyphen_values = true
    )]
    pub(crate) temperatures: TemperatureList,

    /// How many temperatures a range has, both ends counted [default: 9]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) steps: Option<u32>,

    /// Draw it against temperature: a picture for light and dark pages
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,

    /// Print one JSON object, schema softargmax.sweep/1
    #[arg(long)]
    pub(crate) json: bool,
}

/// Ask in SQL, over Parquet, Arrow, CSV and JSON files, through softargmax-sql.
///
/// That is a package of its own; `softargmax-sql --help` shows its functions and flags.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax sql \"select model, temperature_fit(logits, label) from 'logs/*.parquet' group by model\"")]
pub(crate) struct SqlArgs {
    /// What softargmax-sql is called with
    #[arg(
        required = true,
        value_name = "ARGUMENTS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

/// Turn a file of logits into a file of probabilities.
///
/// Works in blocks, so the file may be larger than memory. The output is written beside its target
/// and renamed into place: it is there whole or not at all.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax apply logits.npy -t 1.8 -o probs.npy
  softargmax apply logits.npy -t 0.07 --log --dtype f64 -o log_probs.npy
  softargmax apply logits.npy --fit fit.json -o probs.npy
  softargmax apply 'shards/*.jsonl' -t 1.8 -o probs.parquet
  cat logits.csv | softargmax apply - -t 1 --format csv -o - > probs.csv")]
pub(crate) struct ApplyArgs {
    /// The logits, a row each: .npy, .npz, .safetensors, Parquet, Arrow, CSV or JSON lines (`-`: standard input)
    ///
    /// FILE:COLUMN names the column or array, FILE:logit_* a column for every class. A folder, or a pattern in
    /// quotes ('logs/*.parquet'), is its files in name order. See docs/formats.md.
    #[arg(value_name = "LOGITS")]
    pub(crate) logits: PathBuf,

    #[command(flatten)]
    pub(crate) top_k: TopKArgs,

    /// The temperature: a decimal number from 0 up or a fraction like 1/3, taken to mean exactly
    /// what is written, or `inf`
    #[arg(
        short,
        long,
        value_name = "TAU",
        allow_hyphen_values = true,
        required_unless_present = "fit",
        conflicts_with = "fit"
    )]
    pub(crate) temperature: Option<Temperature>,

    /// What `fit --save` wrote, in place of a temperature
    ///
    /// A fit of probabilities is applied to probabilities.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) fit: Option<PathBuf>,

    /// The groups of the rows, where the fit has a temperature for every group
    #[arg(long, value_name = "FILE", conflicts_with = "temperature")]
    pub(crate) groups: Option<PathBuf>,

    /// Where the probabilities go: .npy, .safetensors, .parquet, .arrow, .arrows (a stream), .jsonl, .csv or .tsv
    /// (`-`: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Write log-probabilities, accurate also where a probability is next to 1
    #[arg(long)]
    pub(crate) log: bool,

    /// The axis that is normalised; negative counts from the end
    #[arg(
        long,
        value_name = "AXIS",
        default_value_t = -1,
        allow_negative_numbers = true,
        conflicts_with = "ids"
    )]
    pub(crate) axis: isize,

    /// The number type to write [default: as in the input]
    #[arg(long, value_enum, value_name = "DTYPE")]
    pub(crate) dtype: Option<Dtype>,

    /// The format, where a file's name does not say it
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// What stands between the numbers of a CSV line [default: a comma]
    #[arg(long, value_name = "CHAR")]
    pub(crate) delimiter: Option<char>,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print what was done as one JSON object, schema softargmax.apply/1
    #[arg(long)]
    pub(crate) json: bool,
}

/// Find the temperature that gives an entropy, a perplexity or a max probability.
///
/// All three are monotone in the temperature, so there is one answer or none. None is said in
/// words, with what can be reached, and gives exit code 3.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax solve 1 5 7 10 --perplexity 2
  softargmax solve logits.npy --max-probability 0.9
  softargmax solve logits.npy --entropy 0.5 --per-row --json

Exit codes: 0 found · 2 refused · 3 out of reach (with --per-row: for some row)")]
pub(crate) struct SolveArgs {
    /// Logits, or one file of them, a row each, in any format; FILE:COLUMN names a column (`-`: standard input)
    ///
    /// What reads as a number is a number: write ./1 for a file called 1. A file is read into
    /// memory, so it may hold at most 134217728 numbers (1 GiB of f64).
    #[arg(required = true, value_name = "LOGITS", allow_negative_numbers = true)]
    pub(crate) logits: Vec<OsString>,

    #[command(flatten)]
    pub(crate) goal: Goal,

    /// One temperature for each row, not one for the rows' mean
    #[arg(long)]
    pub(crate) per_row: bool,

    /// Print one JSON object, schema softargmax.solve/1
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `solve` aims at: exactly one of the three.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Goal {
    /// The mean entropy of the rows, in nats
    #[arg(long, value_name = "NATS", allow_negative_numbers = true)]
    entropy: Option<f64>,

    /// The perplexity, exp of the mean entropy of the rows
    #[arg(long, value_name = "PERPLEXITY", allow_negative_numbers = true)]
    perplexity: Option<f64>,

    /// The mean probability of the rows' most probable entry
    #[arg(long, value_name = "PROBABILITY", allow_negative_numbers = true)]
    max_probability: Option<f64>,
}

impl Goal {
    /// The one that was given; `None` cannot pass the argument group above.
    pub(crate) fn target(&self) -> Option<Target> {
        let entropy = self.entropy.map(Target::Entropy);
        let perplexity = self.perplexity.map(Target::Perplexity);
        entropy.or(perplexity).or(self.max_probability.map(Target::MaxProbability))
    }
}

/// Print completions for a shell.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax completions bash > softargmax.bash
  softargmax completions fish > softargmax.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// A number type that can be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Dtype {
    F16,
    F32,
    F64,
}

/// A file format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Npy,
    Csv,
    Safetensors,
    Jsonl,
    Parquet,
    Arrow,
    ArrowStream,
}

/// Where the logits of `sweep` and `solve` are.
#[derive(Debug, PartialEq)]
pub(crate) enum Logits {
    Numbers(Vec<f64>),
    File(PathBuf),
}

impl Logits {
    /// Numbers where everything reads as a number, a file where one thing stands alone and does not.
    pub(crate) fn from_words(words: &[OsString]) -> Result<Self, CliError> {
        if let [word] = words
            && number(word).is_none()
        {
            let list = word.to_str().filter(|text| text.contains(','));
            if list.is_some_and(|list| list.split(',').all(|item| number(item.as_ref()).is_some()))
            {
                return Err(CliError::refused(format!("'{}' is not a number", word.display()))
                    .hint("put spaces between the logits, or ./ before the name of a file"));
            }
            return Ok(Logits::File(word.into()));
        }
        let numbers = words.iter().map(|word| {
            let value = number(word).ok_or_else(|| {
                CliError::refused(format!("'{}' is not a number", word.display()))
                    .hint("give numbers only, or one file")
            })?;
            let has_digits = word.as_encoded_bytes().iter().any(u8::is_ascii_digit);
            if value.is_infinite() && has_digits {
                return Err(CliError::refused(format!(
                    "{} does not fit a 64-bit float",
                    word.display()
                ))
                .hint("an infinite logit is written inf or -inf"));
            }
            Ok(value)
        });
        numbers.collect::<Result<_, _>>().map(Logits::Numbers)
    }
}

/// The f64 that a word means, if it means one.
fn number(word: &OsStr) -> Option<f64> {
    word.to_str()?.replace(MINUS, "-").parse().ok()
}

/// The minus sign of typesetters, which does not begin an option.
const MINUS: char = '\u{2212}';

/// To the parser, `-1` is a negative number, but `-inf` (a mask) is the options i, n and f, and
/// `-.5` and `-1e-5` are no better. Those travel past it under a typeset minus sign.
fn shield_negative(word: OsString) -> OsString {
    let Some(rest) = word.to_str().and_then(|text| text.strip_prefix('-')) else {
        return word;
    };
    let is_plain = rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_plain || number(&word).is_none() {
        return word;
    }
    format!("{MINUS}{rest}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn sweep(line: &[&str]) -> Result<SweepArgs, clap::Error> {
        let words = ["softargmax", "sweep"].iter().chain(line).map(OsString::from);
        match CommandLine::try_parse_from(words.map(shield_negative))?.verb {
            Verb::Sweep(args) => Ok(args),
            verb => panic!("{verb:?}"),
        }
    }

    #[test]
    fn the_records_are_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_number_of_f64_can_be_a_logit() {
        let args = sweep(&["-1", "-2.5E+3", "1e5", "-inf", "inf", "--json", "-.5", "-1e-5", "-1."]);
        let args = args.expect("parses");
        assert!(args.json);
        let expected = [-1.0, -2.5e3, 1e5, f64::NEG_INFINITY, f64::INFINITY, -0.5, -1e-5, -1.0];
        let logits = Logits::from_words(&args.logits).expect("numbers");
        assert_eq!(logits, Logits::Numbers(expected.to_vec()));

        let args = sweep(&["nan", "-nan"]).expect("parses");
        match Logits::from_words(&args.logits).expect("numbers") {
            Logits::Numbers(numbers) => assert!(numbers.iter().all(|x| x.is_nan())),
            Logits::File(path) => panic!("{path:?}"),
        }
    }

    #[test]
    fn a_lone_word_that_is_no_number_is_a_file() {
        let file = |word: &str| Logits::from_words(&[word.into()]).expect("logits");
        assert_eq!(file("./1"), Logits::File("./1".into()));
        assert_eq!(file("-"), Logits::File("-".into()));
        assert_eq!(file("1"), Logits::Numbers(vec![1.0]));
    }

    #[test]
    fn words_among_numbers_and_numbers_out_of_range_are_refused() {
        for line in ["1 x", "a.npy b.npy", "1 1e999", "1,5,7,10"] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert!(Logits::from_words(&words).is_err(), "{line}");
        }
    }
}
