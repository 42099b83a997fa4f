//! Rows dealt into parts at random, without holding a list of them.
//!
//! ```text
//! key of a row = bits mixed from (seed, row)            splitmix64: Steele, Lea & Flood, OOPSLA 2014
//! part of a row = how many of the parts' ends its key reaches
//! ```
//!
//! The ends are keys that rows have, so that the parts have the sizes asked for; of very many rows they are
//! where they would be in the mean, which is as good to a thousandth.

/// Beyond this many rows the keys are not sorted.
const SORTED: usize = 1 << 22;

/// Which part every row is in.
pub struct Split {
    seed: u64,
    ends: Vec<u64>,
}

impl Split {
    /// Deals the rows that count into a first part and a second of `share` of them.
    pub fn holding_out(share: f64, seed: u64, rows: usize, counts: impl Fn(usize) -> bool) -> Self {
        Self::at(&[1.0 - share], seed, rows, counts)
    }

    /// Deals the rows that count into so many equal parts.
    pub fn folds(parts: u32, seed: u64, rows: usize, counts: impl Fn(usize) -> bool) -> Self {
        let ends: Vec<f64> = (1..parts).map(|k| f64::from(k) / f64::from(parts)).collect();
        Self::at(&ends, seed, rows, counts)
    }

    fn at(ends: &[f64], seed: u64, rows: usize, counts: impl Fn(usize) -> bool) -> Self {
        let seed = mix(seed);
        if rows > SORTED {
            let whole = 2f64.powi(64);
            return Self { seed, ends: ends.iter().map(|end| (end * whole) as u64).collect() };
        }
        let mut keys: Vec<u64> = (0..rows).filter(|&i| counts(i)).map(|i| key(seed, i)).collect();
        keys.sort_unstable();
        let end = |end: &f64| {
            let count = (end * keys.len() as f64).round() as usize;
            keys.get(count).copied().unwrap_or(u64::MAX)
        };
        Self { seed, ends: ends.iter().map(end).collect() }
    }

    /// The part of a row: 0 for the first.
    pub fn part(&self, row: usize) -> usize {
        let key = key(self.seed, row);
        self.ends.iter().filter(|&&end| key >= end).count()
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.ends.len() + 1
    }
}

/// No two rows have the same.
fn key(seed: u64, row: usize) -> u64 {
    mix(seed.wrapping_add((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(split: &Split, rows: usize, counts: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut sizes = vec![0; split.parts()];
        (0..rows).filter(|&row| counts(row)).for_each(|row| sizes[split.part(row)] += 1);
        sizes
    }

    #[test]
    fn parts_have_the_sizes_asked_for() {
        let all = |_| true;
        assert_eq!(sizes(&Split::holding_out(0.5, 0, 897, all), 897, all), [449, 448]);
        assert_eq!(sizes(&Split::holding_out(0.25, 7, 1000, all), 1000, all), [750, 250]);
        assert_eq!(sizes(&Split::folds(5, 3, 23, all), 23, all), [5, 4, 5, 4, 5]);
        assert_eq!(sizes(&Split::holding_out(0.999, 0, 3, all), 3, all), [0, 3]);
        let counts = |row: usize| row.is_multiple_of(3);
        assert_eq!(sizes(&Split::holding_out(0.5, 1, 300, counts), 300, counts), [50, 50]);
        let rows = SORTED + 1;
        let [first, second] = sizes(&Split::holding_out(0.5, 0, rows, all), rows, all)[..] else {
            panic!("two parts");
        };
        assert!(first.abs_diff(second) < 10_000, "{first} {second}");
    }

    #[test]
    fn neighbours_are_dealt_apart_and_seeds_differ() {
        let rows = 10_000;
        let split = |seed| Split::holding_out(0.5, seed, rows, |_| true);
        let (one, other) = (split(0), split(1));
        let same = |a: &dyn Fn(usize) -> usize, b: &dyn Fn(usize) -> usize| {
            (0..rows - 1).filter(|&row| a(row) == b(row)).count()
        };
        // 5000 ± 50 by chance.
        let neighbours = same(&|row| one.part(row), &|row| one.part(row + 1));
        assert!((4700..5300).contains(&neighbours), "{neighbours}");
        let seeds = same(&|row| one.part(row), &|row| other.part(row));
        assert!((4700..5300).contains(&seeds), "{seeds}");
    }
}
