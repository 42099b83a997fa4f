//! The same bits, whatever the instruction set, the number of threads, the batch, the place in memory; and from one
//! version to the next.

use crate::support::number::{Number, on_every_isa};
use crate::support::random::{Random, fingerprint};
use softargmax::{
    Isa, Rows, RowsMut, Statistics, Temperature, Temperatures, log_softmax, log_softmax_in_place,
    log_softmax_into, log_sum_exp, log_sum_exp_rows, softmax, softmax_in_place, softmax_into,
    softmax_rows, statistics,
};

const LENGTHS: [usize; 13] = [1, 2, 15, 16, 17, 31, 32, 33, 100, 129, 1000, 1025, 152_064];

/// A batch must be as large as this to be worked on by two threads.
const SPLIT: usize = 128 * 1024;

/// Temperatures and offsets that take every way through the kernel: as it is, far from 0 in units of τ, and τ beyond
/// what the type's factor can hold. The offset is in units of τ.
const WAYS: [(f64, f64); 4] = [(0.07, 0.0), (1.8, 3e5), (1e-35, 10.0), (3e33, -20.0)];

/// Seeded logits; the τ = 1e-35 and 3e33 of f16, which knows no such numbers, see ordinary ones.
fn logits<T: Number>(len: usize, tau: f64, offset: f64, seed: u64) -> Vec<T> {
    let mut random = Random::new(seed);
    let tau = if T::MAX < 1e5 { tau.clamp(1e-2, 1e2) } else { tau };
    let offset = if T::MAX < 1e5 { offset.min(1e3) } else { offset };
    (0..len).map(|_| T::of((6.0 * random.normal() + offset) * tau)).collect()
}

fn bits<T: Number>(numbers: &[T]) -> Vec<u64> {
    numbers.iter().map(|x| x.bits()).collect()
}

fn bits_of(statistics: &Statistics) -> Vec<u64> {
    let s = statistics;
    let fields = [
        s.log_sum_exp,
        s.mean,
        s.variance,
        s.third_moment,
        s.entropy,
        s.perplexity,
        s.max_probability,
        s.expected_index,
    ];
    let index = s.arg_max.map_or(u64::MAX, |i| i as u64);
    fields.iter().map(|x| x.to_bits()).chain([index]).collect()
}

/// Everything there is to know about some rows, as bits; row by row.
#[derive(PartialEq)]
struct Results {
    softmax: Vec<u64>,
    log_softmax: Vec<u64>,
    log_sum_exp: Vec<u64>,
    statistics: Vec<Vec<u64>>,
}

impl Results {
    fn of_batch<T: Number>(logits: &[T], classes: usize, taus: Temperatures<'_>) -> Results {
        let rows = Rows::new(logits, classes).unwrap();
        let mut log_p = vec![T::default(); logits.len()];
        log_softmax_into(rows, taus, &mut log_p).unwrap();
        Results {
            softmax: bits(&softmax_rows(rows, taus).unwrap()),
            log_softmax: bits(&log_p),
            log_sum_exp: bits(&log_sum_exp_rows(rows, taus).unwrap()),
            statistics: statistics(rows, taus).unwrap().iter().map(bits_of).collect(),
        }
    }

    /// One row after the other, each by itself.
    fn alone<T: Number>(logits: &[T], classes: usize, taus: &[Temperature]) -> Results {
        let mut all = Results {
            softmax: Vec::new(),
            log_softmax: Vec::new(),
            log_sum_exp: Vec::new(),
            statistics: Vec::new(),
        };
        for (row, &tau) in logits.chunks(classes).zip(taus) {
            all.softmax.extend(bits(&softmax(row, tau).unwrap()));
            all.log_softmax.extend(bits(&log_softmax(row, tau).unwrap()));
            all.log_sum_exp.push(log_sum_exp(row, tau).unwrap().bits());
            all.statistics.push(bits_of(&statistics(Rows::one(row).unwrap(), tau).unwrap()[0]));
        }
        all
    }

    fn assert_same(&self, other: &Results, what: &dyn std::fmt::Display) {
        let differ = |a: &[u64], b: &[u64]| a.iter().zip(b).position(|(a, b)| a != b);
        for (function, a, b) in [
            ("softmax", &self.softmax, &other.softmax),
            ("log_softmax", &self.log_softmax, &other.log_softmax),
            ("log_sum_exp", &self.log_sum_exp, &other.log_sum_exp),
        ] {
            assert_eq!(a.len(), b.len(), "{function}: {what}");
            if let Some(i) = differ(a, b) {
                panic!("{function}[{i}] is {:#x} or {:#x}: {what}", a[i], b[i]);
            }
        }
        assert!(self.statistics == other.statistics, "statistics: {what}");
    }
}

#[cfg(feature = "rayon")]
fn with_threads(threads: usize, work: impl FnOnce() + Send) {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work);
}

#[cfg(not(feature = "rayon"))]
fn with_threads(_: usize, work: impl FnOnce() + Send) {
    work();
}

/// Batches of some rows, on every instruction set, with every way of giving the temperatures and the output.
fn batches<T: Number>() {
    for classes in LENGTHS {
        for (way, (tau, offset)) in WAYS.into_iter().enumerate() {
            // The long rows take their time, so each way is another type's.
            if classes > 100_000 && way != T::DTYPE as usize {
                continue;
            }
            let rows = if classes > 100_000 { 1 } else { (2000 / classes).clamp(3, 40) };
            let logits = logits::<T>(rows * classes, tau, offset, classes as u64);
            let (one, mixed) = temperatures(tau, rows);
            let ones = vec![one; rows];
            let mut want: Option<[Results; 2]> = None;
            on_every_isa(|isa| {
                let what = format!("{:?}, {rows} rows of {classes}, τ = {tau}, {isa:?}", T::DTYPE);
                let here = [&ones, &mixed].map(|taus| Results::alone(&logits, classes, taus));
                let want = want.get_or_insert(here);
                for (taus, want) in [
                    (Temperatures::One(one), &want[0]),
                    (Temperatures::PerRow(&ones), &want[0]),
                    (Temperatures::PerRow(&mixed), &want[1]),
                ] {
                    Results::of_batch(&logits, classes, taus).assert_same(want, &what);
                    let (mut p, mut log_p) = (logits.clone(), logits.clone());
                    softmax_in_place(RowsMut::new(&mut p, classes).unwrap(), taus).unwrap();
                    log_softmax_in_place(RowsMut::new(&mut log_p, classes).unwrap(), taus).unwrap();
                    assert!(bits(&p) == want.softmax, "softmax in place: {what}");
                    assert!(bits(&log_p) == want.log_softmax, "log_softmax in place: {what}");
                }
            });
        }
    }
}

fn temperatures(tau: f64, rows: usize) -> (Temperature, Vec<Temperature>) {
    let one = Temperature::new(tau).unwrap();
    let other = Temperature::new(tau * 1.5).unwrap();
    (one, (0..rows).map(|i| if i % 3 == 1 { other } else { one }).collect())
}

/// Batches large enough to be split between two threads, against one row after the other.
fn threads<T: Number>() {
    for (i, classes) in [1, 16, 33, 1000, 152_064].into_iter().enumerate() {
        let rows = (SPLIT / classes + 1).max(2);
        let (tau, offset) = WAYS[(i + T::DTYPE as usize) % 4];
        let logits = logits::<T>(rows * classes, tau, offset, classes as u64);
        let (_, taus) = temperatures(tau, rows);
        let want = Results::alone(&logits, classes, &taus);
        on_every_isa(|isa| {
            // One thread is no other code on another instruction set.
            for threads in if isa == Isa::available()[0] { 1..=2 } else { 2..=2 } {
                let what = format!("{:?}, {rows} rows of {classes}, τ = {tau}", T::DTYPE);
                let what = format!("{what}, {threads} threads, {isa:?}");
                with_threads(threads, || {
                    Results::of_batch(&logits, classes, (&taus).into()).assert_same(&want, &what);
                    let mut p = logits.clone();
                    softmax_in_place(RowsMut::new(&mut p, classes).unwrap(), &taus).unwrap();
                    assert!(bits(&p) == want.softmax, "softmax in place: {what}");
                });
            }
        });
    }
}

fn alignment<T: Number>() {
    for classes in LENGTHS {
        for (way, (tau, offset)) in WAYS.into_iter().enumerate() {
            if classes > 100_000 && way != T::DTYPE as usize {
                continue;
            }
            let row = logits::<T>(classes, tau, offset, 3);
            let tau = Temperature::new(tau).unwrap();
            let want = Results::alone(&row, classes, &[tau]);
            on_every_isa(|isa| {
                for shift in (0..=16).step_by(if classes > 100_000 { 7 } else { 1 }) {
                    let what = format!("{:?}, {classes} classes, {shift}, {isa:?}", T::DTYPE);
                    let mut from = vec![T::default(); shift + classes];
                    from[shift..].copy_from_slice(&row);
                    let rows = Rows::one(&from[shift..]).unwrap();
                    // The output lies otherwise than the input.
                    let out_shift = (5 * shift + 3) % 17;
                    let mut out = vec![T::default(); out_shift + classes];
                    softmax_into(rows, tau, &mut out[out_shift..]).unwrap();
                    assert!(bits(&out[out_shift..]) == want.softmax, "softmax: {what}");
                    log_softmax_into(rows, tau, &mut out[out_shift..]).unwrap();
                    assert!(bits(&out[out_shift..]) == want.log_softmax, "log_softmax: {what}");
                    assert!(out[..out_shift].iter().all(|x| x.bits() == 0), "before: {what}");
                    let log_z = log_sum_exp_rows(rows, tau).unwrap();
                    assert!(bits(&log_z) == want.log_sum_exp, "log_sum_exp: {what}");
                    let statistics = statistics(rows, tau).unwrap();
                    assert!(bits_of(&statistics[0]) == want.statistics[0], "statistics: {what}");
                    softmax_in_place(RowsMut::one(&mut from[shift..]).unwrap(), tau).unwrap();
                    assert!(bits(&from[shift..]) == want.softmax, "in place: {what}");
                }
            });
        }
    }
}

/// Rows of every kind in one batch, also in results of more than 8 MiB, where long ones go past the cache, that begin anywhere
/// in a line of it.
fn mixed<T: Number>() {
    let many = |mebibytes: usize, classes| (mebibytes << 20) / size_of::<T>() / classes + 1;
    for (rows, classes) in [
        (25, 20),
        (40, 100),
        (many(8, 35), 35),
        (many(8, 100), 100),
        (many(8, 999), 999),
        (many(8, 2051), 2051),
        (many(16, 8211), 8211),
    ] {
        let mut logits = logits::<T>(rows * classes, 0.07, 0.0, 11);
        for (row, odd) in [(1, f64::NAN), (4, f64::INFINITY), (7, f64::NEG_INFINITY)] {
            logits[row * classes + classes / 2] = T::of(odd);
        }
        logits[9 * classes..10 * classes].fill(T::of(f64::NEG_INFINITY));
        let taus: Vec<Temperature> = (0..rows)
            .map(|i| Temperature::new([0.07, 0.07, 1e-30, 2.0, 0.0, f64::INFINITY][i % 6]).unwrap())
            .collect();
        let each = logits.chunks(classes).zip(&taus);
        let want: Vec<u64> =
            each.flat_map(|(row, &tau)| bits(&softmax(row, tau).unwrap())).collect();
        let view = Rows::new(&logits, classes).unwrap();
        on_every_isa(|isa| {
            let what = format!("{:?}, {rows} rows of {classes}, {isa:?}", T::DTYPE);
            for (shift, threads) in [(0, 1), (3, 1), (16, 2)] {
                let mut out = vec![T::of(0.5); shift + want.len() + 1];
                with_threads(threads, || {
                    softmax_into(view, &taus, &mut out[shift..shift + want.len()]).unwrap();
                });
                let (before, out) = out.split_at(shift);
                let (out, behind) = out.split_at(want.len());
                assert!(bits(out) == want, "{what}, {shift}, {threads} threads");
                assert!([before, behind].concat().iter().all(|x| x.bits() == T::of(0.5).bits()));
            }
            let mut p = logits.clone();
            softmax_in_place(RowsMut::new(&mut p, classes).unwrap(), &taus).unwrap();
            assert!(bits(&p) == want, "in place: {what}");
        });
    }
}

/// Blocks of a long row that lie too far down to add anything: beside a shorter row, whose blocks are not looked at.
fn far_down<T: Number>() {
    let row: Vec<T> = logits::<f64>(8191, 1.0, 0.0, 5)
        .chunks(1024)
        .zip([0.0, -9.0, -1.0, -12.0, -15.0, -2.0, -40.0, 0.5])
        .flat_map(|(entries, shift)| entries.iter().map(move |x| T::of(x + shift)))
        .collect();
    let masked = std::iter::repeat_n(T::of(f64::NEG_INFINITY), 9000);
    let long: Vec<T> = row.iter().copied().chain(masked).collect();
    for tau in [1.0, 0.3, 0.03, 0.003] {
        let tau = Temperature::new(tau).unwrap();
        on_every_isa(|isa| {
            let sums = [&row, &long].map(|row| bits(&[log_sum_exp(row, tau).unwrap()]));
            assert_eq!(sums[0], sums[1], "{:?}, {tau:?}, {isa:?}", T::DTYPE);
            let [short, long] = [&row, &long].map(|row| bits(&log_softmax(row, tau).unwrap()));
            assert!(short == long[..row.len()], "{:?}, {tau:?}, {isa:?}", T::DTYPE);
        });
    }
}

/// Rows whose sums are made in parts: by one thread, by several where there are fewer rows, and of every kind.
fn long<T: Number>() {
    let (rows, classes) = (7, (1 << 18) + 1019);
    let (tau, offset) = WAYS[T::DTYPE as usize];
    let mut logits = logits::<T>(rows * classes, tau, offset, 13);
    for (row, odd) in [(2, f64::NAN), (3, f64::INFINITY), (4, f64::NEG_INFINITY)] {
        logits[(row + 1) * classes - 1] = T::of(odd);
    }
    logits[5 * classes..6 * classes].fill(T::of(f64::NEG_INFINITY));
    let taus = [1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0].map(|factor| factor * tau);
    let mut taus: Vec<Temperature> = taus.map(|tau| Temperature::new(tau).unwrap()).into();
    for limit in [tau, 0.0, f64::INFINITY] {
        taus[6] = Temperature::new(limit).unwrap();
        let rows = if limit == tau { 0..rows } else { 6..rows };
        let logits = &logits[rows.start * classes..];
        let taus = &taus[rows.clone()];
        on_every_isa(|isa| {
            let mut want = None;
            with_threads(1, || want = Some(Results::alone(logits, classes, taus)));
            let want = want.expect("results");
            for threads in [2, 3, 8] {
                let what = format!("{:?}, {limit}, {threads} threads, {isa:?}", T::DTYPE);
                with_threads(threads, || {
                    Results::alone(logits, classes, taus).assert_same(&want, &what);
                    Results::of_batch(logits, classes, taus.into()).assert_same(&want, &what);
                    let (mut p, mut log_p) = (logits.to_vec(), logits.to_vec());
                    softmax_in_place(RowsMut::new(&mut p, classes).unwrap(), taus).unwrap();
                    assert!(bits(&p) == want.softmax, "softmax in place: {what}");
                    log_softmax_in_place(RowsMut::new(&mut log_p, classes).unwrap(), taus).unwrap();
                    assert!(bits(&log_p) == want.log_softmax, "log_softmax in place: {what}");
                });
            }
        });
    }
}

macro_rules! same_bits {
    ($($type:ty, $name:ident;)*) => {$(
        mod $name {
            #[test]
            fn in_batches() {
                super::batches::<$type>();
            }

            #[test]
            fn with_two_threads() {
                super::threads::<$type>();
            }

            #[test]
            fn at_every_alignment() {
                super::alignment::<$type>();
            }

            #[test]
            fn of_every_kind() {
                super::mixed::<$type>();
            }

            #[test]
            fn far_down() {
                super::far_down::<$type>();
            }

            #[test]
            fn of_long_rows() {
                super::long::<$type>();
            }
        }
    )*};
}

same_bits! {
    f32, f32_rows;
    f64, f64_rows;
}

#[cfg(feature = "half")]
same_bits! {
    half::f16, f16_rows;
    half::bf16, bf16_rows;
}

/// A fingerprint of what every function gives for seeded rows, in the order softmax, log_softmax, log_sum_exp,
/// statistics.
fn fingerprints<T: Number>() -> [u64; 4] {
    let mut all = Results {
        softmax: Vec::new(),
        log_softmax: Vec::new(),
        log_sum_exp: Vec::new(),
        statistics: Vec::new(),
    };
    for (seed, (classes, rows)) in
        [(1, 3), (10, 40), (33, 7), (1000, 3), (5000, 1)].iter().enumerate()
    {
        for (tau, offset) in WAYS.into_iter().chain([(0.0, 0.0), (f64::INFINITY, 0.0)]) {
            let unit = if (1e-300..1e300).contains(&tau) { tau } else { 1.0 };
            let mut logits = logits::<T>(rows * classes, unit, offset, seed as u64);
            if let Some(masked) = logits.get_mut(7) {
                *masked = T::of(f64::NEG_INFINITY);
            }
            let tau = Temperature::new(tau).unwrap();
            let batch = Results::of_batch(&logits, *classes, tau.into());
            all.softmax.extend(batch.softmax);
            all.log_softmax.extend(batch.log_softmax);
            all.log_sum_exp.extend(batch.log_sum_exp);
            all.statistics.extend(batch.statistics);
        }
    }
    [
        fingerprint(all.softmax.into_iter()),
        fingerprint(all.log_softmax.into_iter()),
        fingerprint(all.log_sum_exp.into_iter()),
        fingerprint(all.statistics.into_iter().flatten()),
    ]
}

/// One line for each type of logits, as [`PINNED`] has them.
fn line<T: Number>() -> String {
    let [p, log_p, log_z, statistics] = fingerprints::<T>();
    format!("{:?} {p:016x} {log_p:016x} {log_z:016x} {statistics:016x}", T::DTYPE)
}

const PINNED: [&str; 4] = [
    "F32 0ec872a41c8b909a 06836f05afdfacff 85a6cf324ff7dacc 8ab08d5d4844ec2d",
    "F64 4f02d0011a385a53 55fdc286d85ef8c5 88768f0d0a1fcd39 cd178af211ab265a",
    "F16 11339e14252dba81 48f01871741c027b 85c0515e68d8c182 544b9c4c659e24d4",
    "Bf16 958fbbcdcf7b3b25 75ca2ff9ef53e5a2 bff307c6fe490af5 bf5ca302202d547d",
];

#[test]
fn bits_do_not_change_from_version_to_version() {
    #[cfg_attr(not(feature = "half"), expect(unused_mut))]
    let mut lines = vec![line::<f32>(), line::<f64>()];
    #[cfg(feature = "half")]
    lines.extend([line::<half::f16>(), line::<half::bf16>()]);
    assert!(
        lines == PINNED[..lines.len()],
        "results have other bits than before. If that is meant, say so under **Numerics** in CHANGELOG.md and pin \
         these (softmax, log_softmax, log_sum_exp, statistics):\n{}\nThe lines were:\n{}",
        lines.join("\n"),
        PINNED.join("\n"),
    );
}

#[test]
fn a_log_sum_exp_that_cancels_keeps_its_digits_in_short_f32_rows() {
    // ln 2 − 1/τ, of which f64 alone would leave nothing; rows of f64 have 31 digits.
    let tau = Temperature::new(std::f64::consts::LOG2_E).expect("a temperature");
    let narrow = Rows::new(&[-1f32, -1.0], 2).expect("a row");
    let wide = Rows::new(&[-1f64, -1.0], 2).expect("a row");
    let narrow = log_sum_exp_rows(narrow, tau).expect("log Z")[0];
    let wide = log_sum_exp_rows(wide, tau).expect("log Z")[0];
    assert!(wide != 0.0 && wide.abs() < 1e-15, "{wide:e}");
    assert_eq!(narrow, wide as f32);
}
