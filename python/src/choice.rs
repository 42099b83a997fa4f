//! Arguments that are one of several texts, each of which stands for a value of Rust's.

/// `choice!(Name(Value) "argument": "text" => value, …)`: a type of argument. A text that is none of them is refused with
/// those that are.
macro_rules! choice {
    ($name:ident($value:ty) $argument:literal: $($text:literal => $of:expr),+) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pub(crate) $value);

        impl pyo3::FromPyObject<'_, '_> for $name {
            type Error = pyo3::PyErr;

            fn extract(value: pyo3::Borrowed<'_, '_, pyo3::PyAny>) -> pyo3::PyResult<Self> {
                let text: pyo3::pybacked::PyBackedStr = value.extract()?;
                match &*text {
                    $($text => Ok($name($of)),)+
                    other => {
                        let known = [$($text),+].map(|text| format!("{text:?}")).join(", ");
                        Err($crate::error::wrong(format!(
                            concat!($argument, " is {:?}: it must be one of {}"),
                            other,
                            known
                        )))
                    }
                }
            }
        }
    };
}
pub(crate) use choice;
