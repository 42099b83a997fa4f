//! Random numbers that are a function of where they are used: Philox4x32-10, a counter-based generator.
//!
//! ```text
//! 128 bits = philox(counter, key)
//! key      = seed
//! counter  = position (56 bits) · purpose (8 bits) · stream (64 bits)
//! ```
//!
//! Whoever draws names a stream (a replicate, a row) and a purpose: no two draws meet, and none depends on the
//! order of the work or on the number of threads. Nothing here calls the C library, so the numbers are the same on
//! every machine.
//!
//! Source: Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3.

/// What numbers are drawn for: keeps apart what is drawn from one seed.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Purpose {
    CalibrationNull = 0,
    ClasswiseNull = 1,
    ConsistencyBand = 2,
    KolmogorovNull = 3,
    SmoothNull = 4,
    Bootstrap = 5,
    Folds = 6,
    /// A token by the inverse of the distribution; tokens one after the other without replacement.
    Sample = 7,
    /// Noise, a number for each token.
    Gumbel = 8,
    WithoutReplacement = 9,
    /// Whether a draft is accepted, and what stands in for it.
    Verify = 10,
    Relaxed = 11,
}

/// A stream of numbers; see the module.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    key: [u32; 2],
    stream: u64,
    /// The position of the next block of 128 bits, below the purpose.
    next: u64,
    block: [u64; 2],
    unused: usize,
    spare_normal: Option<f64>,
}

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// The golden ratio and √3 − 1, as in the paper.
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];

fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], [mut k, mut l]) = (counter, key);
    for _ in 0..ROUNDS {
        let left = u64::from(a) * u64::from(MULTIPLIERS[0]);
        let right = u64::from(c) * u64::from(MULTIPLIERS[1]);
        (a, b, c, d) =
            ((right >> 32) as u32 ^ b ^ k, right as u32, (left >> 32) as u32 ^ d ^ l, left as u32);
        (k, l) = (k.wrapping_add(WEYL[0]), l.wrapping_add(WEYL[1]));
    }
    [a, b, c, d]
}

impl Random {
    pub(crate) fn new(seed: u64, purpose: Purpose, stream: u64) -> Random {
        Random {
            key: [seed as u32, (seed >> 32) as u32],
            stream,
            next: (purpose as u64) << 56,
            block: [0; 2],
            unused: 0,
            spare_normal: None,
        }
    }

    /// A stream of its own for every position: its key and its stream are the block that stands there, so that no
    /// number of draws at one position reaches into the next. Positions are below 2^56.
    pub(crate) fn at(seed: u64, purpose: Purpose, stream: u64, position: u64) -> Random {
        let mut place = Random::new(seed, purpose, stream);
        place.next |= position;
        let key = place.bits();
        Random::new(key, purpose, place.bits())
    }

    /// 64 bits.
    #[inline]
    pub(crate) fn bits(&mut self) -> u64 {
        if self.unused == 0 {
            self.block = self.block_at(self.next);
            self.next += 1; // 2^56 blocks take a thousand years
            self.unused = 2;
        }
        self.unused -= 1;
        self.block[1 - self.unused]
    }

    fn block_at(&self, counter: u64) -> [u64; 2] {
        let counter = [
            counter as u32,
            (counter >> 32) as u32,
            self.stream as u32,
            (self.stream >> 32) as u32,
        ];
        let [a, b, c, d] = philox(counter, self.key).map(u64::from);
        [a | b << 32, c | d << 32]
    }

    /// The `n`-th 64 bits of a stream that nothing was drawn from yet.
    pub(crate) fn nth(&self, n: u64) -> u64 {
        self.block_at(self.next + n / 2)[(n % 2) as usize]
    }

    /// Uniform in [0, 1): a multiple of 2^-53.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9007199254740992.0)
    }

    /// Uniform among 0 .. `n`, for `n` > 0.
    ///
    /// The high half of bits · n; the few values of the low half that would favour some results are drawn again
    /// (Lemire, ACM TOMACS 29(1), 2019).
    #[inline]
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            if product as u64 >= n || product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// Uniform among 0 .. `n`, for `n` > 0: as many bits as `n` has, drawn again until they are below it.
    pub(crate) fn below_wide(&mut self, n: u128) -> u128 {
        loop {
            let bits = u128::from(self.bits()) << 64 | u128::from(self.bits());
            let bits = bits >> ((n - 1) | 1).leading_zeros();
            if bits < n {
                return bits;
            }
        }
    }

    /// Normal with mean 0 and variance 1, by the polar method (Marsaglia & Bray 1964): two at a time.
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                let factor = (-2.0 * libm::log(square) / square).sqrt();
                self.spare_normal = Some(factor * y);
                return factor * x;
            }
        }
    }

    /// Puts `items` in an order chosen uniformly among all (Fisher & Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `kat_vectors` of Random123.
    #[test]
    fn known_answers() {
        for (counter, key, want) in [
            ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
            ([!0; 4], [!0; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
            (
                [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
                [0xa4093822, 0x299f31d0],
                [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), want);
        }
    }

    #[test]
    fn numbers_of_a_stream_can_be_had_one_by_one() {
        let place = Random::at(3, Purpose::Gumbel, 5, 7);
        let mut random = place.clone();
        for n in 0..5 {
            assert_eq!(place.nth(n), random.bits());
        }
        let other = |position| Random::at(3, Purpose::Gumbel, 5, position).nth(0);
        assert!(other(7) != other(8) && other(7) != other((1 << 56) - 1));
        for n in [1u128, 2, 3, 1 << 64, u128::MAX] {
            assert!((0..100).all(|_| random.below_wide(n) < n), "{n}");
        }
        let thirds = (0..6000).filter(|_| random.below_wide(3) == 2).count();
        assert!((1800..2200).contains(&thirds), "{thirds}");
    }

    #[test]
    fn a_stream_begins_with_its_first_block() {
        let mut random = Random::new(0, Purpose::CalibrationNull, 0);
        assert_eq!(random.bits(), 0xe169c58d_6627e8d5);
        assert_eq!(random.bits(), 0x9b00dbd8_bc57ac4c);
        let first = |seed, purpose, stream| Random::new(seed, purpose, stream).bits();
        let all = [
            first(0, Purpose::CalibrationNull, 0),
            first(1, Purpose::CalibrationNull, 0),
            first(1 << 32, Purpose::CalibrationNull, 0),
            first(0, Purpose::Bootstrap, 0),
            first(0, Purpose::CalibrationNull, 1),
            first(0, Purpose::CalibrationNull, 1 << 32),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b), "{i}");
        }
    }

    /// Means within five standard errors of what the distribution has.
    #[test]
    fn moments_of_the_distributions() {
        let n = 100_000;
        let mut random = Random::new(7, Purpose::Bootstrap, 3);
        let mut mean_of = |draw: &mut dyn FnMut(&mut Random) -> f64| {
            (0..n).map(|_| draw(&mut random)).sum::<f64>() / f64::from(n)
        };
        let mut near = |want: f64, deviation: f64, draw: &mut dyn FnMut(&mut Random) -> f64| {
            let got = mean_of(draw);
            assert!(
                (got - want).abs() < 5.0 * deviation / f64::from(n).sqrt(),
                "{got}, not {want}"
            );
        };
        near(0.5, (1.0f64 / 12.0).sqrt(), &mut |r| r.unit());
        near(1.0 / 3.0, 0.2982, &mut |r| r.unit().powi(2));
        near(0.0, 1.0, &mut |r| r.normal());
        near(1.0, 2f64.sqrt(), &mut |r| r.normal().powi(2));
        near(3.0, 96f64.sqrt(), &mut |r| r.normal().powi(4));
        near(0.158655, 0.3654, &mut |r| f64::from(u8::from(r.normal() > 1.0)));
        // An n that does not divide 2^64, so large that a bias would be 1/3 against 2/3.
        let third = (1u64 << 63) + (1 << 62);
        near(0.5, 0.289, &mut |r| r.below(third) as f64 / third as f64);
        for k in 0..6 {
            near(1.0 / 6.0, 0.3727, &mut |r| f64::from(u8::from(r.below(6) == k)));
        }
    }

    #[test]
    fn a_shuffle_reaches_every_order_equally() {
        let mut random = Random::new(1, Purpose::Folds, 0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            random.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
        random.shuffle::<u8>(&mut []);
    }
}
