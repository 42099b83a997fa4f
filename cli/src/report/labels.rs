//! Labels beside the ends of lines: as near to them as can be without overlapping.
//!
//! Minimise Σ (y_i − wanted_i)² subject to y_{i+1} ≥ y_i + gap. With z_i = y_i − i·gap that is
//! isotonic regression of wanted_i − i·gap, which pooling adjacent violators solves in one pass.

/// The places of labels whose wanted places ascend, at least `gap` apart and within `low..=high`
/// where there is room for that.
pub(super) fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    // Pools of neighbours that share one z: its sum and how many they are.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (i, &place) in wanted.iter().enumerate() {
        let mut pool = (place - i as f64 * gap, 1);
        while let Some(&(sum, count)) = pools.last() {
            if sum / count as f64 <= pool.0 / pool.1 as f64 {
                break;
            }
            pool = (pool.0 + sum, pool.1 + count);
            pools.pop();
        }
        pools.push(pool);
    }
    let room = (high - low - gap * wanted.len().saturating_sub(1) as f64).max(0.0);
    let shared = pools.iter().flat_map(|&(sum, count)| {
        std::iter::repeat_n((sum / count as f64).clamp(low, low + room), count)
    });
    shared.enumerate().map(|(i, z)| z + i as f64 * gap).collect()
}

/// Which of `count` labels to print when at most `room` fit: the first, the last, and others evenly
/// between.
pub(super) fn pick(count: usize, room: usize) -> Vec<usize> {
    if count <= room {
        return (0..count).collect();
    }
    let gaps = room.max(2) - 1;
    (0..=gaps).map(|i| (i * (count - 1) + gaps / 2) / gaps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_distance_and_stay_near() {
        assert_eq!(spread(&[0.0, 50.0], 10.0, 0.0, 100.0), [0.0, 50.0]);
        assert_eq!(spread(&[50.0, 50.0, 50.0], 10.0, 0.0, 100.0), [40.0, 50.0, 60.0]);
        assert_eq!(spread(&[0.0, 0.0, 99.0, 99.0], 10.0, 0.0, 100.0), [0.0, 10.0, 90.0, 100.0]);
        assert!(spread(&[], 10.0, 0.0, 100.0).is_empty());
    }

    #[test]
    fn the_first_and_the_last_are_always_picked() {
        assert_eq!(pick(3, 5), [0, 1, 2]);
        assert_eq!(pick(50, 4), [0, 16, 33, 49]);
        for count in 2..60 {
            let picked = pick(count, 7);
            assert_eq!((picked[0], picked[picked.len() - 1]), (0, count - 1));
            assert!(picked.windows(2).all(|pair| pair[0] < pair[1]), "{picked:?}");
        }
    }
}
