//! Rows as JSON: floats in the fewest digits that read back; of those that are not finite "nan", "inf" and "-inf".

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int64Type, UInt64Type,
};
use datafusion::arrow::util::display::array_value_to_string;
use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// A row of a batch as an object.
pub(crate) struct Row<'a> {
    pub(crate) batch: &'a RecordBatch,
    pub(crate) row: usize,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let schema = self.batch.schema();
        let mut object = to.serialize_map(Some(schema.fields().len()))?;
        for (field, column) in schema.fields().iter().zip(self.batch.columns()) {
            object.serialize_entry(field.name(), &Value { column, row: self.row })?;
        }
        object.end()
    }
}

struct Value<'a> {
    column: &'a ArrayRef,
    row: usize,
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Value { column, row } = *self;
        if column.is_null(row) {
            return to.serialize_none();
        }
        match column.data_type() {
            DataType::Boolean => to.serialize_bool(column.as_boolean().value(row)),
            DataType::Float64 => real(column.as_primitive::<Float64Type>().value(row), to),
            DataType::Float32 => {
                let x = column.as_primitive::<Float32Type>().value(row);
                if x.is_finite() { to.serialize_f32(x) } else { real(f64::from(x), to) }
            }
            DataType::Float16 => real(column.as_primitive::<Float16Type>().value(row).to_f64(), to),
            DataType::UInt64 => to.serialize_u64(column.as_primitive::<UInt64Type>().value(row)),
            other if other.is_integer() => {
                let as_i64 =
                    datafusion::arrow::compute::cast(&column.slice(row, 1), &DataType::Int64);
                let as_i64 = as_i64.map_err(S::Error::custom)?;
                to.serialize_i64(as_i64.as_primitive::<Int64Type>().value(0))
            }
            DataType::List(_) => list(&column.as_list::<i32>().value(row), to),
            DataType::LargeList(_) => list(&column.as_list::<i64>().value(row), to),
            DataType::FixedSizeList(..) => list(&column.as_fixed_size_list().value(row), to),
            DataType::Struct(fields) => {
                let mut object = to.serialize_map(Some(fields.len()))?;
                for (field, column) in fields.iter().zip(column.as_struct().columns()) {
                    object.serialize_entry(field.name(), &Value { column, row })?;
                }
                object.end()
            }
            _ => {
                let text = array_value_to_string(column, row).map_err(S::Error::custom)?;
                to.serialize_str(&text)
            }
        }
    }
}

fn list<S: Serializer>(values: &ArrayRef, to: S) -> Result<S::Ok, S::Error> {
    let mut array = to.serialize_seq(Some(values.len()))?;
    for row in 0..values.len() {
        array.serialize_element(&Value { column: values, row })?;
    }
    array.end()
}

fn real<S: Serializer>(x: f64, to: S) -> Result<S::Ok, S::Error> {
    match x {
        x if x.is_finite() => to.serialize_f64(x),
        x if x.is_nan() => to.serialize_str("nan"),
        x => to.serialize_str(if x > 0.0 { "inf" } else { "-inf" }),
    }
}
