//! A seeded set of logits with labels, as Parquet: `logs ROWS FOLDER`. The same rows on every machine.
//!
//! ```text
//! logit   6 (u₁ + u₂ + u₃ + u₄ − 2), rounded to f32           u uniform: Weyl steps through SplitMix64
//! model   small and large, in turns: two models that are as sure of themselves
//! label   drawn from softmax(logits / 2.5)                     a model that is too sure of itself by 2.5
//! files   part0.parquet … part7.parquet, row groups of 2^20 rows, compressed by Snappy, as pandas writes them
//! ```

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use softargmax::{Context, Sampler, SamplingParams};

const CLASSES: usize = 10;
const FILES: u64 = 8;
/// Rows made at a time.
const BLOCK: u64 = 1 << 16;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [rows, folder] = &words[..] else {
        return Err("call it as: logs ROWS FOLDER".into());
    };
    write(rows.parse()?, Path::new(folder))
}

/// So many rows in eight files of a folder.
pub(crate) fn write(rows: u64, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let of_file = rows.div_ceil(FILES);
    for file in 0..FILES {
        let (first, end) = (file * of_file, rows.min((file + 1) * of_file));
        let path = folder.join(format!("part{file}.parquet"));
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer = None;
        for start in (first..end).step_by(BLOCK as usize) {
            let batch = block(start, end.min(start + BLOCK))?;
            if writer.is_none() {
                let properties = Some(properties.clone());
                writer =
                    Some(ArrowWriter::try_new(File::create(&path)?, batch.schema(), properties)?);
            }
            writer.as_mut().map(|writer| writer.write(&batch)).transpose()?;
        }
        writer.map(ArrowWriter::close).transpose()?;
    }
    Ok(())
}

/// Rows by their numbers.
fn block(first: u64, end: u64) -> Result<RecordBatch, Failure> {
    let temperature = "2.5".parse()?;
    let mut sampler =
        Sampler::<f32>::new(SamplingParams { temperature, seed: 7, ..Default::default() })?;
    let mut logits: Vec<f32> = Vec::new();
    let mut labels: Vec<i64> = Vec::new();
    for position in first..end {
        let at = position * (CLASSES as u64) * 4;
        let logit = |class: u64| {
            let sum: f64 = (0..4).map(|term| uniform(at + class * 4 + term)).sum();
            (6.0 * (sum - 2.0)) as f32
        };
        let row: Vec<f32> = (0..CLASSES as u64).map(logit).collect();
        labels.push(i64::from(sampler.token(&row, &Context { position, ..Context::default() })?));
        logits.extend(row);
    }
    let field = Arc::new(Field::new("item", DataType::Float32, true));
    let values: ArrayRef = Arc::new(Float32Array::from(logits));
    let logits = FixedSizeListArray::try_new(field, CLASSES as i32, values, None)?;
    let labels = Int64Array::from(labels);
    let models: Vec<&str> =
        (first..end).map(|row| ["small", "large"][(row % 2) as usize]).collect();
    let models = Arc::new(StringArray::from(models)) as ArrayRef;
    let columns = [
        ("model", models),
        ("logits", Arc::new(logits) as ArrayRef),
        ("label", Arc::new(labels) as ArrayRef),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// The number at a place between 0 and 1: SplitMix64's mixing of the place.
fn uniform(place: u64) -> f64 {
    let mut z = (place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
