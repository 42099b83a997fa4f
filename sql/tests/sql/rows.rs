//! Seeded rows with labels, and their columns in every layout.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, Int64Array, LargeListArray, ListArray,
    RecordBatch, StringArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::{SessionConfig, SessionContext};
use softargmax::{FitOptions, Labels, Rows, Scan, TemperatureFit, fit_temperature};

pub(crate) const CLASSES: usize = 10;

/// Logits of a model that is too sure of itself, their labels, and the model each row is of.
pub(crate) struct Data {
    pub(crate) logits: Vec<f32>,
    pub(crate) labels: Vec<i64>,
    pub(crate) models: Vec<&'static str>,
}

fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 11) as f64 / (1u64 << 53) as f64
}

impl Data {
    pub(crate) fn new(rows: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut data = Data { logits: Vec::new(), labels: Vec::new(), models: Vec::new() };
        for row in 0..rows {
            let label = (uniform(&mut state) * CLASSES as f64) as usize;
            for class in 0..CLASSES {
                let noise: f64 = (0..4).map(|_| uniform(&mut state)).sum::<f64>() - 2.0;
                let signal = if class == label { 4.0 } else { 0.0 };
                data.logits.push((6.0 * noise + signal) as f32);
            }
            data.labels.push(label as i64);
            data.models.push(["first", "second", "third"][row * row % 3]);
        }
        data
    }

    /// The rows of fixtures/same_bits.json: the digits as they are, and by factors that are exact.
    pub(crate) fn digits() -> Self {
        let data = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/digits");
            let bytes = std::fs::read(Path::new(folder).join(name)).unwrap();
            let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            bytes[start..].to_vec()
        };
        let (logits, labels) = (data("logits.npy"), data("labels.npy"));
        let logits = logits.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let labels = labels.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
        let scaled = [1.0, 0.5, 0.25, 2.0].into_iter();
        let logits = scaled.flat_map(|factor| logits.clone().map(move |x| x * factor)).collect();
        let labels = labels.collect::<Vec<_>>().repeat(4);
        Data { models: vec!["digits"; labels.len()], logits, labels }
    }

    /// What is known of these: "fit", by passes, and "scan", by one.
    pub(crate) fn pinned() -> serde_json::Value {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/same_bits.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    pub(crate) fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Those of one model.
    pub(crate) fn of_model(&self, model: &str) -> Data {
        let mut of = Data { logits: Vec::new(), labels: Vec::new(), models: Vec::new() };
        for row in (0..self.rows()).filter(|&row| self.models[row] == model) {
            of.logits.extend(&self.logits[row * CLASSES..(row + 1) * CLASSES]);
            of.labels.push(self.labels[row]);
            of.models.push(self.models[row]);
        }
        of
    }

    /// What `softargmax scan` sums up.
    pub(crate) fn scan(&self) -> Scan {
        let mut scan = Scan::over_octaves(CLASSES, -8, 8);
        let rows = Rows::new(&self.logits, CLASSES).unwrap();
        scan.add(rows, Labels::new(&self.labels, CLASSES).unwrap(), None).unwrap();
        scan
    }

    pub(crate) fn fit(&self) -> TemperatureFit {
        TemperatureFit::from_scan(&self.scan(), None)
    }

    /// What `softargmax fit` finds.
    pub(crate) fn exact_fit(&self, weights: Option<&[f64]>) -> TemperatureFit {
        let rows = Rows::new(&self.logits, CLASSES).unwrap();
        let labels = Labels::new(&self.labels, CLASSES).unwrap();
        fit_temperature(rows, labels, &FitOptions { weights, prior: None }).unwrap()
    }

    pub(crate) fn batch(&self, layout: Layout) -> RecordBatch {
        let logits = layout.lists(&self.logits, CLASSES);
        let labels = Arc::new(Int64Array::from(self.labels.clone())) as ArrayRef;
        let models = Arc::new(StringArray::from(self.models.clone())) as ArrayRef;
        RecordBatch::try_from_iter([("model", models), ("logits", logits), ("label", labels)])
            .unwrap()
    }

    /// As so many files in a folder, of small row groups.
    pub(crate) fn write(&self, folder: &Path, files: usize, layout: Layout) {
        let batch = self.batch(layout);
        let size = self.rows().div_ceil(files);
        for file in 0..files {
            let first = file * size;
            let part = batch.slice(first, size.min(self.rows() - first));
            write(&folder.join(format!("part{file}.parquet")), &part);
        }
    }
}

pub(crate) fn write(path: &Path, batch: &RecordBatch) {
    let file = std::fs::File::create(path).unwrap();
    let small = WriterProperties::builder().set_max_row_group_row_count(Some(700)).build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(small)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    List,
    LargeList,
    FixedSizeList,
}

impl Layout {
    pub(crate) fn lists(self, numbers: &[f32], classes: usize) -> ArrayRef {
        let values: ArrayRef = Arc::new(Float32Array::from(numbers.to_vec()));
        let rows = numbers.len() / classes;
        let field = Arc::new(Field::new("item", DataType::Float32, true));
        match self {
            Layout::List => {
                let offsets = OffsetBuffer::from_lengths(vec![classes; rows]);
                Arc::new(ListArray::new(field, offsets, values, None))
            }
            Layout::LargeList => {
                let offsets = OffsetBuffer::from_lengths(vec![classes; rows]);
                Arc::new(LargeListArray::new(field, offsets, values, None))
            }
            Layout::FixedSizeList => {
                Arc::new(FixedSizeListArray::new(field, classes as i32, values, None))
            }
        }
    }
}

pub(crate) fn context(threads: usize, batch: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(threads).with_batch_size(batch);
    let context = SessionContext::new_with_config(config);
    softargmax_sql::register_all(&context);
    context
}

/// The one batch of a query.
pub(crate) async fn query(
    context: &SessionContext,
    query: &str,
) -> Result<RecordBatch, datafusion::error::DataFusionError> {
    softargmax_sql::FileTables::register(context, query).await?;
    let frame = context.sql(query).await?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await?;
    let schema = batches.first().map_or(schema, |batch| batch.schema());
    Ok(datafusion::arrow::compute::concat_batches(&schema, &batches)?)
}

/// A number of a struct, or NaN where it is NULL.
pub(crate) fn number(structs: &ArrayRef, field: &str, row: usize) -> f64 {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::Float64Type;
    let column = structs.as_struct().column_by_name(field).unwrap();
    let column = column.as_primitive::<Float64Type>();
    if column.is_null(row) { f64::NAN } else { column.value(row) }
}
