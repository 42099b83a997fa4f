//! MoCo's queue of keys, and the momentum that makes the encoder they come from.

use crate::element::Element;
use crate::error::Error;
use crate::loss::contrastive::vectors::{Prepared, Vectors};
use crate::rows::Rows;

/// The last K keys, as negatives for [`moco`](crate::moco): first in, first out, and a batch need not divide K.
///
/// Keys are checked and made ready when they come, not at each loss.
///
/// # Example
/// ```
/// use softargmax::{Queue, Rows, Vectors};
///
/// let mut queue = Queue::new(2, 1, Vectors::AsGiven)?;
/// queue.push(Rows::new(&[1.0f32, 2.0, 3.0], 1)?)?;
/// assert_eq!(queue.oldest_first().flatten().copied().collect::<Vec<_>>(), [2.0, 3.0]);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// He et al. 2020, "Momentum contrast for unsupervised visual representation learning", section 3.2.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    data: Vec<T>,
    width: usize,
    capacity: usize,
    /// Where the next key goes, once it is full: the oldest one's place.
    next: usize,
    vectors: Vectors,
}

impl<T: Element> Queue<T> {
    /// An empty queue of at most `capacity` keys of `width` numbers, taken as `vectors` says. Its memory is taken now.
    ///
    /// # Errors
    /// [`Error::NoClasses`] when `width` is 0. A capacity of 0 is allowed: the queue is always empty.
    pub fn new(capacity: usize, width: usize, vectors: Vectors) -> Result<Self, Error> {
        if width == 0 {
            return Err(Error::NoClasses);
        }
        let data = Vec::with_capacity(capacity.saturating_mul(width));
        Ok(Queue { data, width, capacity, next: 0, vectors })
    }

    /// Adds keys; once the queue is full each takes the place of the oldest. Of more than fit, the last stay.
    ///
    /// # Errors
    /// [`Error::Shape`] when the keys have another width, [`Error::Row`] for one that is not as promised, or not
    /// finite; the queue is then as before.
    pub fn push(&mut self, keys: Rows<'_, T>) -> Result<(), Error> {
        if keys.classes() != self.width {
            let (expected, got) = (self.width, keys.classes());
            return Err(Error::Shape { what: "keys", expected, got });
        }
        let prepared = Prepared::new(keys, self.vectors)?;
        if self.capacity == 0 {
            return Ok(());
        }
        let mut room = vec![T::of_f64(0.0); self.width];
        for row in keys.rows().saturating_sub(self.capacity)..keys.rows() {
            T::write(prepared.row(row), &mut room);
            if self.len() < self.capacity {
                self.data.extend_from_slice(&room);
            } else {
                let at = self.next * self.width;
                self.data[at..at + self.width].copy_from_slice(&room);
                self.next = (self.next + 1) % self.capacity;
            }
        }
        Ok(())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.data.len() / self.width
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// How many keys there can be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The keys, the oldest first.
    pub fn oldest_first(&self) -> impl Iterator<Item = &[T]> {
        let (newer, older) = self.data.split_at(self.next * self.width);
        older.chunks_exact(self.width).chain(newer.chunks_exact(self.width))
    }

    /// The keys in the order in which they lie.
    pub(super) fn rows(&self) -> Rows<'_, T> {
        Rows::new(&self.data, self.width).expect("whole keys of a width above 0")
    }
}

/// The key encoder follows the query encoder: `key ← m·key + (1 − m)·query`, each computed in f64 and rounded once.
///
/// # Shapes
/// Two lists of as many parameters.
///
/// # Special values
/// At m = 1 the key encoder stays, at m = 0 it is a copy. A parameter that is not finite stays so.
///
/// # Errors
/// [`Error::Shape`] when the lengths differ, [`Error::Parameter`] for a momentum that is not from 0 to 1.
///
/// # Example
/// ```
/// let mut key = [1.0, 2.0];
/// softargmax::momentum_update(&mut key, &[3.0, 2.0], 0.75)?;
/// assert_eq!(key, [1.5, 2.0]);
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// He et al. 2020, eq. 2 (m = 0.999).
pub fn momentum_update<T: Element>(key: &mut [T], query: &[T], momentum: f64) -> Result<(), Error> {
    if key.len() != query.len() {
        let (expected, got) = (key.len(), query.len());
        return Err(Error::Shape { what: "query parameters", expected, got });
    }
    if !(0.0..=1.0).contains(&momentum) {
        return Err(Error::Parameter { what: "momentum", got: momentum, allowed: "from 0 to 1" });
    }
    for (key, query) in key.iter_mut().zip(query) {
        *key = T::of_f64(momentum * key.to_f64() + (1.0 - momentum) * query.to_f64());
    }
    Ok(())
}
