//! Where work runs: without Python's lock, on threads that survive a fork, and with an ear for Ctrl-C.
//!
//! ```text
//! below 32k elements      here and now: giving the lock away costs as much as the work
//! below 128k elements     here, without the lock: the library starts no threads for so few
//! above                   on this package's threads, without the lock; this one waits, and looks at the signals
//! ```

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use softargmax::Interrupt;

use crate::error::{refused, wrong};

const UNLOCK_FROM: usize = 32 * 1024;
const THREADS_FROM: usize = 128 * 1024;

/// How often a search goes through its rows, about.
pub(crate) const PASSES: usize = 16;

/// Between two looks at the signals.
const LISTEN_EVERY: Duration = Duration::from_millis(20);

/// Runs `job`, which goes through so many elements, and gives back what it returns; where a signal raises an exception, as
/// Ctrl-C does, the job is stopped.
pub(crate) fn run<R: Send>(
    py: Python<'_>,
    elements: usize,
    job: impl FnOnce() -> Result<R, softargmax::Error> + Send,
) -> PyResult<R> {
    if elements < THREADS_FROM {
        return run_short(py, elements, job);
    }
    let threads = threads_of_this_process()?;
    py.detach(|| listening(&threads, job))
}

/// As `run`, for a part of the work that is soon over: between the parts the caller looks at the signals.
pub(crate) fn run_short<R: Send>(
    py: Python<'_>,
    elements: usize,
    job: impl FnOnce() -> Result<R, softargmax::Error> + Send,
) -> PyResult<R> {
    let done = if elements < UNLOCK_FROM {
        job()
    } else if elements < THREADS_FROM {
        py.detach(job)
    } else {
        let threads = threads_of_this_process()?;
        py.detach(|| threads.install(job))
    };
    done.map_err(refused)
}

fn listening<R: Send>(
    threads: &ThreadPool,
    job: impl FnOnce() -> Result<R, softargmax::Error> + Send,
) -> PyResult<R> {
    let interrupt = Interrupt::default();
    let (sender, receiver) = channel();
    threads.in_place_scope(|scope| {
        // Moved in, so that the channel ends with it, also where it panics.
        let (of_job, sender) = (interrupt.clone(), sender);
        // Nobody waits any more where there was a signal.
        scope.spawn(move |_| drop(sender.send(of_job.run(job))));
        loop {
            match receiver.recv_timeout(LISTEN_EVERY) {
                Ok(done) => return done.map_err(refused),
                Err(RecvTimeoutError::Timeout) => {
                    Python::attach(|py| py.check_signals()).inspect_err(|_| interrupt.raise())?;
                }
                // The scope panics as the job did.
                Err(RecvTimeoutError::Disconnected) => return Err(wrong("the work panicked")),
            }
        }
    })
}

struct Threads {
    process: u32,
    pool: Arc<ThreadPool>,
}

/// A fork copies this, but not the threads: the child starts its own. The lock is only held together
/// with Python's, so that no fork finds it taken.
static THREADS: Mutex<Option<Threads>> = Mutex::new(None);

fn threads_of_this_process() -> PyResult<Arc<ThreadPool>> {
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    match &*threads {
        Some(threads) if threads.process == process => Ok(threads.pool.clone()),
        _ => Ok(start(&mut threads, process, 0)?.clone()),
    }
}

/// 0 threads: as many as RAYON_NUM_THREADS or the machine says.
fn start(threads: &mut Option<Threads>, process: u32, number: usize) -> PyResult<&Arc<ThreadPool>> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(number)
        .thread_name(|i| format!("softargmax-{i}"))
        .build()
        .map_err(|error| wrong(format!("no threads could be started: {error}")))?;
    let started = Threads { process, pool: Arc::new(pool) };
    if let Some(before) = threads.take()
        && before.process != process
    {
        // Its threads live in the parent: there is nobody here to join.
        std::mem::forget(before);
    }
    Ok(&threads.insert(started).pool)
}

/// The number of threads that large calls use.
#[pyfunction]
pub(crate) fn get_num_threads() -> PyResult<usize> {
    Ok(threads_of_this_process()?.current_num_threads())
}

/// Sets the number of threads that large calls use, in this process, from now on.
///
/// Results do not depend on it. Without this call there are as many as the environment variable
/// RAYON_NUM_THREADS says, or as the machine has.
///
/// Parameters
/// ----------
/// number : int
///     From 1 up.
#[pyfunction]
pub(crate) fn set_num_threads(number: usize) -> PyResult<()> {
    if number == 0 {
        return Err(wrong("0 threads do no work: there must be 1 or more"));
    }
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    start(&mut threads, std::process::id(), number)?;
    Ok(())
}
