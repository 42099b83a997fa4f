//! Stopping a call from another thread.
//!
//! ```text
//! Interrupt::run(job)     this thread works under the interrupt until the job ends
//! parallel::join(a, b)    so do the threads that take a and b, and nobody while they wait
//! heed()                  in loops: if it was raised, unwind to where it was run
//! ```
//!
//! Kernels cannot fail, and a stop is no failure of theirs: it goes past them as a panic does, without the message, and is an
//! [`Error`] where it arrives. A thread that waits for the other half of its work may be given work of somebody else's: so
//! it is under no interrupt while it waits.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// A way to stop calls that have begun: every copy is the same one.
///
/// Long calls of this library, those over many rows and those of many passes or replicates, look for it every few milliseconds.
/// What they were writing into holds anything afterwards, numbers of theirs or what was there before.
///
/// This needs panics that unwind, as they do by default: with `panic = "abort"` a raised interrupt ends the process.
///
/// # Example
/// ```
/// use softargmax::{Error, Interrupt, Labels, Model, Rows, select};
///
/// let logits: Vec<f64> = (0..1000).map(|i| f64::from(i * 7919 % 31)).collect();
/// let labels: Vec<i64> = (0..500).map(|i| i % 2).collect();
/// let (rows, labels) = (Rows::new(&logits, 2)?, Labels::new(&labels, 2)?);
///
/// let interrupt = Interrupt::default();
/// let from_elsewhere = interrupt.clone();
/// std::thread::spawn(move || from_elsewhere.raise()).join().unwrap();
/// let stopped = interrupt.run(|| select(rows, labels, None, &Model::ALL, 400, 0));
/// assert_eq!(stopped, Err(Error::Interrupted));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks all that runs under this to stop, and what will be run under it not to go far.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Runs `job`, and stops it where this was raised: the calls that `job` makes in this thread, on however many they work.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if it was stopped; those of `job`.
    pub fn run<R>(&self, job: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
        let run = || under(Some(self.clone()), job);
        // What was half done is dropped, or is the caller's to write over.
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
            if payload.is::<Stopped>() { Err(Error::Interrupted) } else { resume_unwind(payload) }
        })
    }
}

/// What unwinds.
struct Stopped;

thread_local! {
    static CURRENT: RefCell<Option<Interrupt>> = const { RefCell::new(None) };
}

/// Stops here if the interrupt of this thread's work was raised.
pub(crate) fn heed() {
    let raised = |current: &Interrupt| current.0.load(Ordering::Relaxed);
    if CURRENT.with_borrow(|current| current.as_ref().is_some_and(raised)) {
        resume_unwind(Box::new(Stopped));
    }
}

/// The interrupt of this thread's work.
pub(crate) fn current() -> Option<Interrupt> {
    CURRENT.with_borrow(Option::clone)
}

/// Runs `work` with this thread under an interrupt or under none, and puts back what it was under.
pub(crate) fn under<R>(interrupt: Option<Interrupt>, work: impl FnOnce() -> R) -> R {
    struct Back(Option<Interrupt>);
    impl Drop for Back {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _back = Back(CURRENT.replace(interrupt));
    work()
}
