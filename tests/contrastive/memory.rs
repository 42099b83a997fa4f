//! Working memory does not grow with rows × columns: counted at the allocator.

use softargmax::{
    ContrastiveOptions, Denominator, Labels, Margin, Queue, Reduction, Vectors, clip, moco,
    normalised_linear_softmax, nt_xent,
};

use crate::allocator;
use crate::contrastive::{noise, options, rows, tau};

/// The most bytes that were taken at once in this thread, which does all the work.
fn most_taken<T: Send>(work: impl FnOnce() -> T + Send) -> isize {
    let counted = || allocator::most_taken(work);
    #[cfg(feature = "rayon")]
    return rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(counted);
    #[cfg(not(feature = "rayon"))]
    counted()
}

fn narrow(seed: u64, n: usize) -> Vec<f32> {
    noise(seed, n).iter().map(|&x| x as f32).collect()
}

#[test]
fn moco_takes_no_more_for_a_longer_queue() {
    let (n, width) = (128, 16);
    let (x, y) = (narrow(1, n * width), narrow(2, n * width));
    let of = |k: usize| {
        let mut queue = Queue::new(k, width, Vectors::Normalise).unwrap();
        queue.push(rows(&narrow(3, k * width), width)).unwrap();
        let options = ContrastiveOptions::default();
        most_taken(|| moco(rows(&x, width), rows(&y, width), &queue, tau(0.07), &options).unwrap())
    };
    let (short, long) = (of(2048), of(32768));
    assert_eq!(short, long);
    // 128·32768 similarities would be 16 MiB.
    assert!(long < 1 << 20, "{long} bytes");
}

#[test]
fn batches_take_memory_for_their_vectors_only() {
    let width = 8;
    let unit = options(Vectors::Normalise, Denominator::WithPositive, Reduction::Mean);
    let of = |n: usize| {
        let (x, y) = (narrow(4, n * width), narrow(5, n * width));
        let (x, y) = (rows(&x, width), rows(&y, width));
        (
            most_taken(|| clip(x, y, tau(0.07), &unit).unwrap()),
            most_taken(|| nt_xent(x, y, tau(0.07), &unit).unwrap()),
        )
    };
    let (small, large) = (of(1024), of(4096));
    // Four times the rows, at most four times the memory; the similarities would be sixteen times as many.
    assert!(large.0 < 4 * small.0 && large.1 < 4 * small.1, "{small:?} {large:?}");
    // 4096² similarities would be 64 MiB, and (2·4096)² 256 MiB; a tile is 4.
    assert!(large.0 < 8 << 20 && large.1 < 8 << 20, "{large:?}");
}

/// The tiles of a block of rows are kept, and not those of all rows.
#[test]
fn gradients_of_columns_take_a_block_of_tiles() {
    let width = 8;
    let of = |n: usize, k: usize| {
        let (x, y) = (narrow(6, n * width), narrow(7, k * width));
        let (x, y) = (rows(&x, width), rows(&y, width));
        let labels: Vec<i64> = (0..n as i64).map(|i| i % k as i64).collect();
        let labels = Labels::new(&labels, k).unwrap();
        let (margin, mean) = (Margin::None, Reduction::Mean);
        most_taken(|| normalised_linear_softmax(x, y, labels, margin, tau(0.07), mean).unwrap())
    };
    let (few, many) = (of(1024, 4096), of(8192, 4096));
    // 8192·4096 similarities would be 128 MiB, and a block of 1024 rows is 16.
    assert!(many - few < 8 << 20 && many < 32 << 20, "{few} {many}");
}
