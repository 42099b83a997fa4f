//! Seeded numbers that are the same on every machine: integers and exact divisions, no logarithm, no cosine.

/// SplitMix64 (Steele, Lea & Flood 2014).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// In [0, 1), a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// In [−1, 1).
    pub fn symmetric(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }

    /// Nearly normal, mean 0, variance 1: the sum of twelve uniform ones, which any machine adds alike.
    pub fn normal(&mut self) -> f64 {
        let mut sum = -6.0;
        for _ in 0..4 {
            // Three of 21 bits each out of one draw.
            let bits = self.bits();
            for k in 0..3 {
                sum += (bits >> (21 * k) & 0x1f_ffff) as f64 / 2_097_152.0;
            }
        }
        sum
    }

    /// An integer below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}

/// FNV-1a over 64-bit words: a fingerprint of a result.
pub fn fingerprint(words: impl Iterator<Item = u64>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for word in words {
        for byte in word.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}
