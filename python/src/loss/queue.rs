//! MoCo's queue of keys, and its momentum.

use std::sync::{Mutex, MutexGuard, TryLockError};

use half::{bf16, f16};
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use softargmax::{ContrastiveOptions, Queue, Temperature};

use super::result::PyContrastiveLoss;
use super::{Matrix, Taken};
use crate::array::{Array, Number, for_each_type, in_c_order, of_type, read};
use crate::error::{refused, wrong, wrong_type};
use crate::work;

/// The last K keys, as negatives for `moco`: first in, first out, and a batch need not divide K.
///
/// Keys are checked and made ready when they come, not at each loss.
///
/// Parameters
/// ----------
/// capacity : int
///     K. Its memory is taken now.
/// width : int
///     Numbers in a key.
/// vectors : {"normalise", "unit", "as_given"}
///     What becomes of keys on their way in.
/// dtype : dtype
///     float16, bfloat16, float32 or float64.
///
/// References
/// ----------
/// He et al. 2020, "Momentum contrast for unsupervised visual representation learning", section 3.2.
///
/// Examples
/// --------
/// >>> import softargmax
/// >>> queue = softargmax.Queue(2, 1, vectors="as_given")
/// >>> queue.push([[1.0], [2.0], [3.0]])
/// >>> queue.oldest_first()
/// array([[2.],
///        [3.]], dtype=float32)
#[pyclass(frozen, module = "softargmax", name = "Queue")]
pub(crate) struct PyQueue {
    queue: Any,
    width: usize,
}

/// A queue of one of the four types.
enum Any {
    F32(Mutex<Queue<f32>>),
    F64(Mutex<Queue<f64>>),
    F16(Mutex<Queue<f16>>),
    Bf16(Mutex<Queue<bf16>>),
}

/// Nobody waits for a queue: who holds it may be waiting for Python's lock.
fn alone<T>(queue: &Mutex<Queue<T>>) -> PyResult<MutexGuard<'_, Queue<T>>> {
    match queue.try_lock() {
        Ok(queue) => Ok(queue),
        Err(TryLockError::Poisoned(queue)) => Ok(queue.into_inner()),
        Err(TryLockError::WouldBlock) => Err(wrong("the queue is in use by another call")),
    }
}

macro_rules! of_any_type {
    ($queue:expr, $x:ident => $body:expr) => {
        match &$queue {
            Any::F32($x) => $body,
            Any::F64($x) => $body,
            Any::F16($x) => $body,
            Any::Bf16($x) => $body,
        }
    };
}

#[pymethods]
impl PyQueue {
    #[new]
    #[pyo3(signature = (capacity, width, *, vectors=Taken(Default::default()), dtype=None))]
    #[pyo3(text_signature = "(capacity, width, *, vectors=\"normalise\", dtype=\"float32\")")]
    fn new(
        py: Python<'_>,
        capacity: usize,
        width: usize,
        vectors: Taken,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        fn made<T: Number>(
            capacity: usize,
            width: usize,
            vectors: Taken,
        ) -> PyResult<Mutex<Queue<T>>> {
            // Beyond this, the memory is refused where it is asked for.
            let bytes = capacity.checked_mul(width).and_then(|n| n.checked_mul(size_of::<T>()));
            if bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
                return Err(wrong(format!("{capacity} keys of {width} numbers fit no memory")));
            }
            Ok(Mutex::new(Queue::new(capacity, width, vectors.0).map_err(refused)?))
        }
        let numpy = py.import(intern!(py, "numpy"))?;
        let of = match dtype {
            Some(dtype) => numpy.call_method1(intern!(py, "zeros"), (0, dtype))?,
            None => numpy.call_method1(intern!(py, "zeros"), (0, "float32"))?,
        };
        if Array::of(&of, "dtype")?.untyped().dtype().ne(of.getattr(intern!(py, "dtype"))?)? {
            return Err(wrong_type("dtype must be float16, bfloat16, float32 or float64"));
        }
        let queue = match Array::of(&of, "dtype")? {
            Array::F32(_) => Any::F32(made(capacity, width, vectors)?),
            Array::F64(_) => Any::F64(made(capacity, width, vectors)?),
            Array::F16(_) => Any::F16(made(capacity, width, vectors)?),
            Array::Bf16(_) => Any::Bf16(made(capacity, width, vectors)?),
        };
        Ok(PyQueue { queue, width })
    }

    /// Adds keys, ``[n, width]``; once the queue is full each takes the place of the oldest.
    ///
    /// A key that is not as promised, or not finite, is refused with its row; the queue is then as before.
    fn push(&self, keys: &Bound<'_, PyAny>) -> PyResult<()> {
        fn all<T: Number>(queue: &Mutex<Queue<T>>, keys: &Bound<'_, PyAny>) -> PyResult<()> {
            let py = keys.py();
            let keys = Matrix::<T>::from(keys, "keys")?;
            let (n, rows) = (keys.rows * keys.columns, keys.rows()?);
            let mut queue = alone(queue)?;
            let queue = &mut *queue;
            work::run(py, n, || queue.push(rows))
        }
        of_any_type!(self.queue, queue => all(queue, keys))
    }

    /// The keys, the oldest first: a copy, ``[len(queue), width]``.
    fn oldest_first<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        fn copy<'py, T: Number>(
            py: Python<'py>,
            queue: &Mutex<Queue<T>>,
            width: usize,
        ) -> PyResult<Bound<'py, PyAny>> {
            let queue = alone(queue)?;
            let rows = queue.len();
            let keys = queue.oldest_first().flatten().copied().collect();
            Ok(PyArray1::from_vec(py, keys).reshape([rows, width])?.into_any())
        }
        of_any_type!(self.queue, queue => copy(py, queue, self.width))
    }

    fn __len__(&self) -> PyResult<usize> {
        of_any_type!(self.queue, queue => Ok(alone(queue)?.len()))
    }

    /// How many keys there can be.
    #[getter]
    fn capacity(&self) -> PyResult<usize> {
        of_any_type!(self.queue, queue => Ok(alone(queue)?.capacity()))
    }

    fn __repr__(&self) -> PyResult<String> {
        let (len, capacity) = (self.__len__()?, self.capacity()?);
        Ok(format!("<softargmax.Queue: {len} of {capacity} keys, width {}>", self.width))
    }
}

impl PyQueue {
    pub(super) fn moco(
        &self,
        queries: &Bound<'_, PyAny>,
        keys: &Bound<'_, PyAny>,
        tau: Temperature,
        options: &ContrastiveOptions,
    ) -> PyResult<PyContrastiveLoss> {
        fn of<T: Number>(
            queue: &Mutex<Queue<T>>,
            queries: &Bound<'_, PyAny>,
            keys: &Bound<'_, PyAny>,
            tau: Temperature,
            options: &ContrastiveOptions,
        ) -> PyResult<PyContrastiveLoss> {
            let py = queries.py();
            let queries = Matrix::<T>::from(queries, "queries")?;
            let keys = Matrix::<T>::from(keys, "keys")?;
            let (q, k) = (queries.rows()?, keys.rows()?);
            let queue = alone(queue)?;
            let queue = &*queue;
            let elements = queries.rows.saturating_mul(queue.len());
            let loss = work::run(py, elements, || softargmax::moco(q, k, queue, tau, options))?;
            PyContrastiveLoss::new(py, loss, (queries.rows, queries.columns), None)
        }
        of_any_type!(self.queue, queue => of(queue, queries, keys, tau, options))
    }
}

/// The key encoder follows the query encoder, key ← m·key + (1 − m)·query, in place.
///
/// Parameters
/// ----------
/// key : ndarray
///     Parameters, of float16, bfloat16, float32 or float64, which are changed.
/// query : array_like
///     As many, of any shape that is that of `key`.
/// momentum : float
///     m, from 0 to 1.
///
/// Raises
/// ------
/// SoftargmaxError
///     For shapes that differ, a momentum beyond 0 to 1, and a `key` that cannot be written.
///
/// References
/// ----------
/// He et al. 2020, eq. 2 (m = 0.999).
///
/// Examples
/// --------
/// >>> import numpy as np, softargmax
/// >>> key = np.array([1.0, 2.0])
/// >>> softargmax.momentum_update(key, [3.0, 2.0], 0.75)
/// >>> key
/// array([1.5, 2. ])
#[pyfunction]
pub(crate) fn momentum_update(
    key: &Bound<'_, PyAny>,
    query: &Bound<'_, PyAny>,
    momentum: f64,
) -> PyResult<()> {
    fn of<T: Number>(
        key: &Bound<'_, PyArrayDyn<T>>,
        query: &Bound<'_, PyAny>,
        momentum: f64,
    ) -> PyResult<()> {
        let py = key.py();
        let query = of_type::<T>(query, "query")?;
        if key.shape() != query.shape() {
            let (key, query) = (key.shape(), query.shape());
            return Err(wrong(format!("query has shape {query:?}, expected {key:?}")));
        }
        if !key.is_c_contiguous() {
            return Err(wrong("key must lie in C order: its parts are changed in place"));
        }
        let query = read(&in_c_order(&query)?, "query")?;
        let query = query.as_slice()?;
        let mut key = key
            .try_readwrite()
            .map_err(|_| wrong("key cannot be written: it is read-only, or query is part of it"))?;
        let key = key.as_slice_mut()?;
        work::run(py, key.len(), || softargmax::momentum_update(key, query, momentum))
    }
    if !key.is_instance_of::<PyUntypedArray>() {
        let type_ = key.get_type().name()?;
        return Err(wrong_type(format!("key is a {type_}: it must be an array, which is changed")));
    }
    let array = Array::of(key, "key")?;
    if !array.untyped().is(key) {
        return Err(wrong_type(
            "key must be a plain, aligned array of floats: it is changed in place",
        ));
    }
    for_each_type!(&array, key => of(key, query, momentum))
}
