//! Memory for rows on their way, kept by each thread from one call to the next.
//!
//! What is as long as a row is long enough for the system to take its pages back when it is freed, and to find others in the next
//! call, one by one as they are touched. For a row of f16 that takes several times as long as its softmax.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use crate::aligned::unaligned;
use crate::element::{LINE, Real};

/// Bytes that a thread keeps of a type: some rows of 2^17 numbers.
const MOST: usize = 1 << 22;

type Kept<R> = RefCell<Vec<Vec<R>>>;

/// A type of which a thread keeps memory.
pub trait Keep: Sized + 'static {
    fn kept() -> &'static LocalKey<Kept<Self>>;
}

macro_rules! keep {
    ($($real:ty),*) => {$(
        impl Keep for $real {
            fn kept() -> &'static LocalKey<Kept<Self>> {
                thread_local! {
                    static KEPT: Kept<$real> = const { RefCell::new(Vec::new()) };
                }
                &KEPT
            }
        }
    )*};
}

keep!(f32, f64);

/// Numbers that hold whatever they held before. Nothing is taken until they are asked for.
pub(crate) struct Scratch<R: Keep>(Vec<R>);

impl<R: Real> Scratch<R> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Scratch(Vec::new())
    }

    /// So many, which begin with a line of the cache.
    #[inline(always)]
    pub(crate) fn of(&mut self, len: usize) -> &mut [R] {
        if self.0.len() < len + LINE {
            self.grow(len + LINE);
        }
        let lead = unaligned(&self.0);
        &mut self.0[lead..lead + len]
    }

    #[inline(never)]
    fn grow(&mut self, len: usize) {
        if self.0.capacity() == 0 {
            self.0 = take();
        }
        if self.0.len() < len {
            self.0.resize(len, R::ZERO);
        }
    }
}

#[inline(never)]
fn take<R: Keep>() -> Vec<R> {
    R::kept().try_with(|kept| kept.borrow_mut().pop()).ok().flatten().unwrap_or_default()
}

#[inline(never)]
fn give_back<R: Keep>(numbers: Vec<R>) {
    // A thread that ends keeps nothing.
    let _ = R::kept().try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let all = kept.iter().chain([&numbers]).map(Vec::capacity).sum::<usize>();
        if all * size_of::<R>() <= MOST {
            kept.push(numbers);
        }
    });
}

impl<R: Keep> Default for Scratch<R> {
    #[inline(always)]
    fn default() -> Self {
        Scratch(Vec::new())
    }
}

impl<R: Keep> Deref for Scratch<R> {
    type Target = Vec<R>;

    #[inline(always)]
    fn deref(&self) -> &Vec<R> {
        &self.0
    }
}

/// As a list that is empty at first, wherever it begins.
impl<R: Keep> DerefMut for Scratch<R> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Vec<R> {
        if self.0.capacity() == 0 {
            self.0 = take();
            self.0.clear();
        }
        &mut self.0
    }
}

impl<'a, R: Keep> IntoIterator for &'a Scratch<R> {
    type Item = &'a R;
    type IntoIter = std::slice::Iter<'a, R>;

    #[inline(always)]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, R: Keep> IntoIterator for &'a mut Scratch<R> {
    type Item = &'a mut R;
    type IntoIter = std::slice::IterMut<'a, R>;

    #[inline(always)]
    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<R: Keep> Drop for Scratch<R> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.capacity() > 0 {
            give_back(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_what_it_had() {
        let place = |len: usize| Scratch::<f32>::new().of(len).as_ptr().addr();
        std::thread::spawn(move || {
            let first = place(1000);
            assert_eq!(first % 64, 0);
            assert_eq!([place(10), place(1000)], [first; 2]);
            let (mut a, mut b) = (Scratch::<f32>::new(), Scratch::new());
            assert_eq!(a.of(7).as_ptr().addr(), first);
            b.of(1000).fill(1.0);
            assert!(a.of(1000).iter().zip(b.of(1000)).all(|(a, b)| *a == 0.0 && *b == 1.0));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn little_is_kept() {
        std::thread::spawn(|| {
            let kept = || f64::kept().with_borrow(|kept| kept.iter().map(Vec::len).collect());
            let mut all: [Scratch<f64>; 9] = std::array::from_fn(|_| Scratch::new());
            for scratch in &mut all {
                scratch.of(1 << 16);
            }
            drop(all);
            let lengths: Vec<usize> = kept();
            assert_eq!(lengths, [(1 << 16) + LINE; 7]);
            // One of them, which grows.
            Scratch::<f64>::new().of(1 << 19);
            let lengths: Vec<usize> = kept();
            assert_eq!(lengths, [(1 << 16) + LINE; 6]);
        })
        .join()
        .unwrap();
    }
}
