//! What a thread takes from the allocator, counted.

#![allow(unsafe_code)] // an allocator is

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[derive(Clone, Copy)]
struct Taken {
    times: usize,
    /// Bytes that were taken and not given back, and the most there were.
    now: isize,
    most: isize,
}

thread_local! {
    static TAKEN: Cell<Taken> = const { Cell::new(Taken { times: 0, now: 0, most: 0 }) };
}

struct Counting;

fn count(times: usize, bytes: isize) {
    // A thread that ends has no counter any more.
    let _ = TAKEN.try_with(|taken| {
        let before = taken.get();
        let now = before.now + bytes;
        taken.set(Taken { times: before.times + times, now, most: before.most.max(now) });
    });
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        // SAFETY: as promised to this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        // SAFETY: as promised to this function.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often this thread asked for memory.
pub(crate) fn times_taken(work: impl FnOnce()) -> usize {
    let before = TAKEN.get().times;
    work();
    TAKEN.get().times - before
}

/// The most bytes that this thread had at once.
pub(crate) fn most_taken<T>(work: impl FnOnce() -> T) -> isize {
    let before = TAKEN.get();
    TAKEN.set(Taken { most: before.now, ..before });
    drop(work());
    TAKEN.get().most - before.now
}
