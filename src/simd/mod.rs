//! Instruction sets: one kernel, compiled once for each of them, and the choice between them.
//!
//! A kernel is safe Rust over arrays of a fixed number of lanes. Called from a function that
//! enables AVX2 or AVX-512, and inlined into it, the compiler turns its loops over lanes into the
//! vectors of that instruction set. The lanes are virtual: their number, and the order of all sums,
//! is the kernel's own, so that every instruction set computes the same bits; `mul_add` is one
//! rounding everywhere, in hardware or in the C library.
//!
//! A kernel may call another one through the token it was given. Every hot loop is such a kernel
//! of its own: a function to itself, so that the registers are its own too. (All loops inlined into
//! one function took 2.6 times as long: constants and accumulators went through the stack.)
//!
//! This folder holds the only `unsafe` of the project: the calls, the prefetches, the shuffles, the masks and the conversions in
//! `x86.rs`, the products of matrices in `gemm.rs`, and here the tiles of rows.

pub(crate) mod gemm;
#[cfg(feature = "half")]
pub(crate) mod half;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(feature = "half")]
use ::half::{f16, slice::HalfFloatSliceExt};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU8, Ordering};

/// Work that is compiled once per instruction set.
///
/// `run` and everything it calls must be `#[inline(always)]`, closures included: what is not inlined
/// into the function that enables the features is compiled without them.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set as a type: a proof that the machine has it, and the way to run kernels with it.
pub(crate) trait Simd: Copy {
    fn call<K: Kernel>(self, kernel: K) -> K::Output;

    /// Asks for the cache line at `address` to be fetched, to be read soon. A hint: any address will do.
    #[inline(always)]
    fn prefetch_read<T>(self, _address: *const T) {}

    /// The same, to be written soon.
    #[inline(always)]
    fn prefetch_write<T>(self, _address: *const T) {}

    /// Said in a loop whose body is a loop over lanes: this one is no loop over lanes. A compiler that has unrolled a short
    /// body takes the outer loop for one, and with AVX-512 it gathers and scatters, at half the speed.
    #[inline(always)]
    fn one_by_one(self) {}

    /// Eight rows to eight columns: number by number, a column is eight loads and inserts.
    #[inline(always)]
    fn transpose(self, rows: [&[f32; 8]; 8]) -> [[f32; 8]; 8] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }

    /// The same of f64.
    #[inline(always)]
    fn transpose_double(self, rows: [&[f64; 8]; 8]) -> [[f64; 8]; 8] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }

    /// Sixteen rows of four to four columns, which go to memory as they will be read: what is written in halves waits there.
    #[inline(always)]
    fn columns(self, rows: [&[f32; 4]; 16]) -> [[f32; 16]; 4] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }

    /// The same of f64.
    #[inline(always)]
    fn columns_double(self, rows: [&[f64; 4]; 16]) -> [[f64; 16]; 4] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }

    /// Which of sixteen numbers are at least so large: a bit for each, that of the first one lowest.
    #[inline(always)]
    fn at_least(self, numbers: &[f32; 16], from: f32) -> u32 {
        let mut bits: [u32; 16] = std::array::from_fn(|i| u32::from(numbers[i] >= from) << i);
        let mut width = 16;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                bits[i] |= bits[i + width];
            }
        }
        bits[0]
    }

    /// Adds pairs of numbers, none of them below 0 or −0, to totals, lane by lane: the two of a pair to each other first.
    #[inline(always)]
    fn add_pairs(self, pairs: &[[[f32; 16]; 2]], total: &mut [f64; 16]) {
        add_pairs(pairs, total);
    }

    /// Up to sixteen numbers, and −∞ up to sixteen. Copied one by one they would be loaded together before they are stored, which waits.
    #[inline(always)]
    fn padded(self, from: &[f32]) -> [f32; 16] {
        padded(from, f32::NEG_INFINITY)
    }

    /// As many of sixteen numbers as there is room for. (A masked store of AVX2 takes some machines longer than single ones do.)
    #[inline(always)]
    fn put(self, numbers: &[f32; 16], to: &mut [f32]) {
        put(numbers, to);
    }

    /// What [`Stream`] does.
    #[inline(always)]
    fn stream(self, numbers: &[f32; 16], to: &mut [f32; 16]) {
        *to = *numbers;
    }

    /// The same of f64.
    #[inline(always)]
    fn stream_double(self, numbers: &[f64; 16], to: &mut [f64; 16]) {
        *to = *numbers;
    }

    /// What was streamed is there, for this thread and all others.
    #[inline(always)]
    fn end_stream(self) {}

    /// Eight f16 to f32.
    #[cfg(feature = "half")]
    #[inline(always)]
    fn widen(self, from: &[f16; 8]) -> [f32; 8] {
        let mut to = [0.0; 8];
        from.convert_to_f32_slice(&mut to);
        to
    }

    /// Eight f32 to f16, to the nearest, ties to even.
    #[cfg(feature = "half")]
    #[inline(always)]
    fn narrow(self, from: &[f32; 8]) -> [f16; 8] {
        let mut to = [f16::ZERO; 8];
        to.convert_from_f32_slice(from);
        to
    }
}

/// Numbers on their way to memory past the cache, where they begin with a line of it. What is lent for them stays lent until
/// this is dropped: before that, nobody could say what is read there.
pub(crate) struct Stream<'a, S: Simd> {
    simd: S,
    /// Of one lifetime exactly: a shorter one would give back too soon.
    lent: PhantomData<fn(&'a mut ()) -> &'a mut ()>,
}

impl<'a, S: Simd> Stream<'a, S> {
    #[inline(always)]
    pub(crate) fn new(simd: S) -> Self {
        Stream { simd, lent: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn single(&self, numbers: &[f32; 16], to: &'a mut [f32; 16]) {
        self.simd.stream(numbers, to);
    }

    #[inline(always)]
    pub(crate) fn double(&self, numbers: &[f64; 16], to: &'a mut [f64; 16]) {
        self.simd.stream_double(numbers, to);
    }
}

impl<S: Simd> Drop for Stream<'_, S> {
    #[inline(always)]
    fn drop(&mut self) {
        self.simd.end_stream();
    }
}

#[inline(always)]
fn add_pairs(pairs: &[[[f32; 16]; 2]], total: &mut [f64; 16]) {
    let mut sums = *total;
    for [a, b] in pairs {
        let mut next = sums;
        for i in 0..16 {
            next[i] = sums[i] + (f64::from(a[i]) + f64::from(b[i]));
        }
        sums = next;
    }
    *total = sums;
}

/// Numbers, and what they are filled up with.
#[inline(always)]
pub(crate) fn padded<T: Copy, const N: usize>(from: &[T], with: T) -> [T; N] {
    let mut to = [with; N];
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
    to
}

/// The first ones of some numbers.
#[inline(always)]
pub(crate) fn put<T: Copy, const N: usize>(numbers: &[T; N], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(numbers) {
        *to = from;
    }
}

/// M times N numbers, `stride` from each to the next: looked for beyond the end once, and not M times.
#[inline(always)]
#[expect(unsafe_code, reason = "references to what was looked for together")]
pub(crate) fn tile<T, const N: usize, const M: usize>(
    numbers: &[T],
    stride: usize,
) -> [&[T; N]; M] {
    const { assert!(size_of::<T>() >= 4 && N <= 8 && M <= 16) };
    assert!(stride <= numbers.len() / (M - 1) && (M - 1) * stride + N <= numbers.len());
    // Not known to be four strides: else each of sixteen places has a register, or the stack. So they are sums.
    let four = std::hint::black_box(4 * stride);
    let first = numbers.as_ptr();
    // SAFETY: M − 1 strides and N numbers are in the slice, and `black_box` gives what it is given; nothing overflows, as a slice
    // has no more than 2^61 numbers of four bytes.
    std::array::from_fn(|i| unsafe { &*first.add(i % 4 * stride).add(i / 4 * four).cast() })
}

/// Eight times eight numbers to their places in `to`, `stride` from each to the next: where that is less than eight, each one is
/// written over the end of the one before.
#[inline(always)]
#[expect(unsafe_code, reason = "places that were looked for together")]
pub(crate) fn put_eights<T: Copy>(numbers: &[[T; 8]; 8], to: &mut [T], stride: usize) {
    const { assert!(size_of::<T>() >= 4) };
    assert!(stride <= to.len() && 7 * stride + 8 <= to.len());
    let first = to.as_mut_ptr();
    for (i, numbers) in numbers.iter().enumerate() {
        // SAFETY: as above; an array is aligned as what it is of.
        unsafe { first.add(i * stride).cast::<[T; 8]>().write(*numbers) }
    }
}

/// An instruction set that this machine has; holding one is the proof.
///
/// Results do not depend on it, only speed does.
///
/// # Example
///
/// ```
/// use softargmax::Isa;
///
/// for isa in Isa::available() {
///     println!("{isa:?}"); // best first; the last one is always "portable"
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Level);

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Level {
    Portable = 1,
    #[cfg(target_arch = "x86_64")]
    Avx2 = 2,
    #[cfg(target_arch = "x86_64")]
    Avx512 = 3,
}

/// The level in use as a number; 0 until the first call has looked at the machine.
static SELECTED: AtomicU8 = AtomicU8::new(0);

impl Isa {
    /// Every instruction set of this machine that there is a kernel for, best first.
    pub fn available() -> Vec<Isa> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            // F16C came before AVX2, and every machine that has the one has the other.
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                all.push(Isa(Level::Avx512));
            }
            if avx2 {
                all.push(Isa(Level::Avx2));
            }
        }
        all.push(Isa(Level::Portable));
        all
    }

    /// The one in use: the best available, unless [`select`](Isa::select) chose another.
    pub fn current() -> Isa {
        let selected = SELECTED.load(Ordering::Relaxed);
        let known = match selected {
            0 => None,
            1 => Some(Isa(Level::Portable)),
            #[cfg(target_arch = "x86_64")]
            2 => Some(Isa(Level::Avx2)),
            #[cfg(target_arch = "x86_64")]
            _ => Some(Isa(Level::Avx512)),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        };
        known.unwrap_or_else(|| {
            let best = Isa::available()[0];
            best.select();
            best
        })
    }

    /// Uses this one in the whole process from now on: for tests and benchmarks. Safe at any
    /// moment, since the results are the same bits.
    pub fn select(self) {
        SELECTED.store(self.0 as u8, Ordering::Relaxed);
    }

    /// `"avx512"`, `"avx2"` or `"portable"` (which is NEON on aarch64).
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }
}

impl std::fmt::Debug for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Runs a kernel with the instruction set in use. One with a type parameter is run by `T::run`, which calls this where the
/// type is known: see `compiled.rs`.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    let isa = Isa::current();
    match isa.0 {
        Level::Portable => Portable.call(kernel),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86::Avx2::of(isa).call(kernel),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86::Avx512::of(isa).call(kernel),
    }
}

/// What every machine of the target has: SSE2 on x86-64, NEON on aarch64.
#[derive(Clone, Copy)]
struct Portable;

impl Simd for Portable {
    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct AddPairs<'a>(&'a [[[f32; 16]; 2]], [f64; 16]);

    impl Kernel for AddPairs<'_> {
        type Output = [f64; 16];

        #[inline(always)]
        fn run<S: Simd>(mut self, simd: S) -> [f64; 16] {
            simd.add_pairs(self.0, &mut self.1);
            self.1
        }
    }

    #[test]
    fn pairs_are_added_up_alike_whatever_their_size() {
        let mut state = 7_u32;
        // Of every exponent, subnormal ones and 0 too.
        let mut number = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            f32::from_bits(state % 0x7f80_0000)
        };
        for pairs in [0, 1, 2, 7, 32] {
            let pairs: Vec<[[f32; 16]; 2]> = (0..pairs)
                .map(|_| std::array::from_fn(|_| std::array::from_fn(|_| number())))
                .collect();
            for total in [0.0, f64::from(f32::from_bits(1)), 1e-30, 1.5, f64::from(f32::MAX)] {
                let mut want = [total; 16];
                super::add_pairs(&pairs, &mut want);
                for isa in Isa::available() {
                    isa.select();
                    assert_eq!(dispatch(AddPairs(&pairs, [total; 16])), want, "{isa:?}");
                }
            }
        }
        Isa::available()[0].select();
    }

    #[test]
    fn tiles_end_with_the_rows_and_overlap_in_order() {
        let rows: [f32; 29] = std::array::from_fn(|i| i as f32);
        let tile = super::tile::<_, 8, 8>(&rows, 3);
        assert_eq!([tile[0][0], tile[1][0], tile[7][7]], [0.0, 3.0, 28.0]);
        assert_eq!(super::tile::<_, 4, 8>(&rows[4..], 3)[7], &[25.0, 26.0, 27.0, 28.0]);
        let numbers: [[f32; 8]; 8] = std::array::from_fn(|i| [i as f32; 8]);
        let mut to = [-1.0; 30];
        put_eights(&numbers, &mut to, 3);
        let want: [f32; 30] =
            std::array::from_fn(|i| if i < 29 { (i / 3).min(7) as f32 } else { -1.0 });
        assert_eq!(to, want);
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn what_would_end_beyond_the_rows_is_refused() {
        tile::<_, 8, 8>(&[0.0f32; 28], 3);
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn and_not_written_either() {
        put_eights(&[[0.0f32; 8]; 8], &mut [0.0; 28], 3);
    }
}
