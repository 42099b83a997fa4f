//! What is typed after `teacher` and `distill`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use softargmax::Temperature;

use crate::sweep::temperatures::TemperatureList;

/// Store a teacher's logits in little room, right at every temperature.
///
/// Of each row the K likeliest classes are kept, and how much mass all others have at the temperatures of a grid. From
/// probabilities at T = 1 that mass cannot be worked out at another T. The format is docs/teacher-format.md.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax teacher pack logits.npy -o teacher.sat --top-k 2
  softargmax teacher verify teacher.sat --against logits.npy
  softargmax teacher audit logits.npy --top-k 2 -T 4")]
pub(crate) struct TeacherArgs {
    #[command(subcommand)]
    pub(crate) verb: TeacherVerb,
}

/// What can be done with a teacher.
#[derive(Debug, Subcommand)]
pub(crate) enum TeacherVerb {
    Pack(PackArgs),
    Verify(VerifyArgs),
    Audit(AuditArgs),
}

/// Turn logits into a packed teacher.
///
/// One pass, in blocks, so the logits may be larger than memory. Of equal logits those of the lower classes are kept. f16
/// and bf16 hold how far a logit is below the row's largest, f32 the logit itself.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax teacher pack logits.npy -o teacher.sat --top-k 2
  softargmax teacher pack logits.npy -o teacher.sat --top-k 2 --dtype f32")]
pub(crate) struct PackArgs {
    /// The logits, a row each, in any format; FILE:COLUMN names a column (`-`: standard input)
    #[arg(value_name = "LOGITS")]
    pub(crate) logits: PathBuf,

    /// Where the packed teacher goes (`-`: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// How many classes of each row are kept
    #[arg(long, value_name = "K", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top_k: u32,

    /// The temperatures at which the mass of the others is exact; between them it is interpolated
    ///
    /// The smallest is the least that the teacher can be used at. Above the largest everything can.
    #[arg(long, value_name = "LIST", default_value = "1,2,4,8", allow_hyphen_values = true)]
    pub(crate) temperatures: TemperatureList,

    /// The number type of the logits
    #[arg(long, value_enum, value_name = "DTYPE", default_value_t = TeacherDtype::F16)]
    pub(crate) dtype: TeacherDtype,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print what was done as one JSON object, schema softargmax.teacher.pack/1
    #[arg(long)]
    pub(crate) json: bool,
}

/// A number type that logits can be stored in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum TeacherDtype {
    F16,
    Bf16,
    F32,
}

/// Check a packed teacher: every checksum, every row, and with the logits, how far off it is.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax teacher verify teacher.sat
  softargmax teacher verify teacher.sat --against logits.npy --json

Exit codes: 0 sound · 2 damaged, or not of these logits")]
pub(crate) struct VerifyArgs {
    /// The packed teacher (`-`: standard input)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The logits it was packed from
    ///
    /// The largest errors of log Z, of the probabilities that are kept and of the others' mass: at the temperatures of
    /// the grid, in the middle (of 1/T) between each two, at twice the last and at inf.
    #[arg(long, value_name = "LOGITS")]
    pub(crate) against: Option<PathBuf>,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print one JSON object, schema softargmax.teacher.verify/1
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what each way to store a teacher's top K gets wrong at a temperature.
///
/// The loss T²·KL(teacher ‖ student) and its gradient, as each convention in use gives them, beside those of the full
/// teacher. Of a packed teacher the classes that it did not keep count as one.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax teacher audit logits.npy --top-k 2 -T 4
  softargmax teacher audit teacher.sat -T 4 --student logits.npy --json")]
pub(crate) struct AuditArgs {
    /// Logits, or a packed teacher
    #[arg(value_name = "TEACHER")]
    pub(crate) teacher: PathBuf,

    /// The temperature of the distillation: above 0
    #[arg(short = 'T', long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) temperature: Temperature,

    /// How many classes of each row are kept [default: 50, or all there are; of a packed teacher what it has]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top_k: Option<u32>,

    /// The student's logits [default: one that knows nothing, all 0]
    #[arg(long, value_name = "LOGITS")]
    pub(crate) student: Option<PathBuf>,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print one JSON object, schema softargmax.teacher.audit/1
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show a student's losses against a teacher, and where the gradient goes.
///
/// T²·KL both ways and Jensen–Shannon, with labels the cross-entropy, the mixture and the parts of decoupled
/// distillation, all means over the rows. Over temperatures: the teacher's entropy, effective classes exp(entropy) and
/// largest probability; the loss; and the gradient T(q − p): its size Σ|g|, and how that is shared among the label's
/// class (without labels: the teacher's likeliest), the likeliest other one, and the rest.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  softargmax distill logits.npy teacher.npy -T 4
  softargmax distill logits.npy teacher.npy --labels labels.npy -T 4 --plot distill.svg
  softargmax distill logits.npy teacher.sat --labels labels.npy -T 4 --json")]
pub(crate) struct DistillArgs {
    /// The student's logits, a row each, in any format; FILE:COLUMN names a column
    #[arg(value_name = "STUDENT")]
    pub(crate) student: PathBuf,

    /// The teacher's logits, row for row, or a packed teacher
    #[arg(value_name = "TEACHER")]
    pub(crate) teacher: PathBuf,

    /// The temperature: a decimal number above 0, or inf, where T² times the loss has a limit
    #[arg(short = 'T', long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) temperature: Temperature,

    /// The labels: a file of any format, one for every row, or :COLUMN of the student's file
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,

    /// How much of the mixture the labels are: A·cross-entropy + (1 − A)·T²·KL
    #[arg(long, value_name = "A", default_value_t = 0.1, allow_hyphen_values = true)]
    pub(crate) alpha: f64,

    /// Leave out rows with this label
    #[arg(long, value_name = "LABEL", allow_negative_numbers = true, requires = "labels")]
    pub(crate) ignore_label: Option<i64>,

    /// Temperatures and ranges of the second table [default: 1,2,3,4,6,8,12,16 and T]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub(crate) temperatures: Option<TemperatureList>,

    /// Draw it against temperature: a picture for light and dark pages
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,

    /// How many threads to use; the result has the same bits for any number [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Print one JSON object, schema softargmax.distill/1
    #[arg(long)]
    pub(crate) json: bool,
}
