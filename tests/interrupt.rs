//! Calls that are stopped, and calls beside them that are not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::support::random::Random;
use softargmax::{
    Binning, ContrastiveOptions, CrossEntropyOptions, Error, FitOptions, Interrupt, Labels, Model,
    Resampling, Rows, Target, Temperature,
};

const ROWS: usize = 2000;
const CLASSES: usize = 80;

struct Set {
    logits: Vec<f32>,
    labels: Vec<i64>,
    groups: Vec<usize>,
}

impl Set {
    fn new() -> Set {
        let mut random = Random::new(1);
        let logits = (0..ROWS * CLASSES).map(|_| 3.0 * random.symmetric() as f32).collect();
        let row = |row: usize| row as i64;
        let labels = (0..ROWS).map(|i| row(i) * row(i) % CLASSES as i64).collect();
        Set { logits, labels, groups: (0..ROWS).map(|row| row % 3).collect() }
    }
}

type Call<'a> = Box<dyn Fn() -> Result<String, Error> + Sync + 'a>;

/// Every kind of long call, on more numbers than are worth a second thread: what it gives, as a text.
fn calls(set: &Set) -> Vec<(&'static str, Call<'_>)> {
    let rows = Rows::new(&set.logits, CLASSES).unwrap();
    let labels = Labels::new(&set.labels, CLASSES).unwrap();
    let (one, two) = (Temperature::ONE, Temperature::new(2.0).unwrap());
    let scores = move |tau| softargmax::scores(rows, labels, None, tau);
    let resampling = Resampling { replicates: 20, seed: 3 };
    let few = rows.split_at(400).0;
    let vectors = ContrastiveOptions::default();
    macro_rules! calls {
        ($($name:literal: $call:expr;)+) => {
            vec![$(($name, Box::new(move || Ok(format!("{:?}", $call))))),+]
        };
    }
    calls! {
        "softmax": softargmax::softmax_rows(rows, two)?;
        "statistics": softargmax::statistics(rows, two)?;
        "scores": scores(two)?;
        "solve": softargmax::solve_temperature(rows, Target::Perplexity(9.0))?;
        "solve_per_row": softargmax::solve_temperature_per_row(few, Target::Perplexity(9.0))?;
        "cross_entropy": softargmax::cross_entropy(rows, labels, one, &CrossEntropyOptions::default())?;
        "fit_temperature": softargmax::fit_temperature(rows, labels, &FitOptions::default())?;
        "fit_bcts": softargmax::fit_bcts(rows, labels, None)?;
        "fit_vector": softargmax::fit_vector(rows, labels, None)?;
        "fit_ets": softargmax::fit_ets(rows, labels, None)?;
        "fit_groups": softargmax::fit_groups(rows, labels, None, &set.groups)?;
        "select": softargmax::select(rows, labels, None, &[Model::Identity, Model::Ets], 2, 0)?;
        "classwise": softargmax::classwise_calibration_error(rows, labels, None, one, 15, &resampling)?;
        "clip": softargmax::clip(few, few, one, &vectors)?;
        "info_nce": softargmax::info_nce(few, few, rows, one, &vectors)?;
        "nt_xent": softargmax::nt_xent(few, few, one, &vectors)?;
        "sup_con": softargmax::sup_con(few, labels.split_at(400).0, one, &vectors)?;
        "sig_lip": softargmax::sig_lip(few, few, one, -1.0, &vectors)?;
        "uniformity": softargmax::uniformity(few)?;
    }
}

#[test]
fn a_raised_interrupt_stops_every_long_call_and_one_that_is_not_raised_changes_none() {
    let set = Set::new();
    for (name, call) in calls(&set) {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.run(&call), call(), "{name}");
        interrupt.clone().raise();
        assert_eq!(interrupt.run(&call), Err(Error::Interrupted), "{name}");
        // This thread is free again, and so are those that helped.
        assert!(call().is_ok(), "{name}");
    }
}

#[test]
fn what_is_drawn_anew_is_stopped() {
    let set = Set::new();
    let rows = Rows::new(&set.logits, CLASSES).unwrap();
    let labels = Labels::new(&set.labels, CLASSES).unwrap();
    let scores = softargmax::scores(rows, labels, None, Temperature::ONE).unwrap();
    let resampling = Resampling::default();
    let calls: [(&str, &dyn Fn()); 5] = [
        ("ece", &|| {
            softargmax::calibration_error(&scores, Binning::EqualWidth(15), &resampling);
        }),
        ("kolmogorov_smirnov", &|| {
            softargmax::kolmogorov_smirnov(&scores, &resampling);
        }),
        ("smooth", &|| {
            softargmax::smooth_calibration_error(&scores, &resampling);
        }),
        ("band", &|| {
            softargmax::consistency_band(&scores, &[0.1], 0.95, &resampling);
        }),
        ("bootstrap", &|| {
            softargmax::paired_bootstrap(&scores, &scores, 0.95, &resampling).unwrap();
        }),
    ];
    let interrupt = Interrupt::default();
    interrupt.raise();
    for (name, call) in calls {
        let stopped = interrupt.run(|| {
            call();
            Ok(())
        });
        assert_eq!(stopped, Err(Error::Interrupted), "{name}");
    }
}

/// Passes at one temperature and another in turn, until they are stopped; whether that was within one of them.
fn is_stopped_within_a_pass(logits: Rows<'_, f32>, out: &mut [f32]) -> bool {
    let interrupt = Interrupt::default();
    let begun = AtomicBool::new(false);
    let taus = [1.0, 2.0].map(|tau| Temperature::new(tau).unwrap());
    let stopped = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !begun.load(Relaxed) {
                std::thread::yield_now();
            }
            interrupt.raise();
        });
        interrupt.run(|| {
            begun.store(true, Relaxed);
            taus.iter().cycle().try_for_each(|&tau| softargmax::softmax_into(logits, tau, out))
        })
    });
    assert_eq!(stopped, Err(Error::Interrupted));
    out[0] != out[out.len() - 2]
}

#[test]
fn on_one_thread_a_pass_is_stopped_within() {
    let logits = [0.0f32, 1.0].repeat(1 << 23);
    let logits = Rows::new(&logits, 1 << 10).unwrap();
    let mut out = vec![0.0; logits.as_slice().len()];
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    // One of four looks is before a pass.
    let mut tries = 0..40;
    assert!(alone.install(|| tries.any(|_| is_stopped_within_a_pass(logits, &mut out))));
}

#[test]
fn a_call_beside_one_that_is_stopped_goes_on() {
    let set = Set::new();
    let (name, call) = &calls(&set)[7];
    assert_eq!(*name, "fit_bcts");
    let want = call();
    // Threads that wait for a part of the one take parts of the other.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for round in 0..10 {
        let interrupt = Interrupt::default();
        std::thread::scope(|scope| {
            let stopped = scope.spawn(|| pool.install(|| interrupt.run(call)));
            let other = scope.spawn(|| pool.install(|| Interrupt::default().run(call)));
            let bare = scope.spawn(|| pool.install(call));
            std::thread::sleep(std::time::Duration::from_millis(round));
            interrupt.raise();
            assert_eq!(other.join().unwrap(), want);
            assert_eq!(bare.join().unwrap(), want);
            let stopped = stopped.join().unwrap();
            assert!(stopped == Err(Error::Interrupted) || stopped == want);
        });
    }
}

#[test]
fn errors_panics_and_inner_interrupts_keep_their_way() {
    let outer = Interrupt::default();
    let refused = outer.run(|| softargmax::softmax(&[0.0f32; 0], Temperature::ONE));
    assert_eq!(refused, Err(Error::NoClasses));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        outer.run(|| -> Result<(), Error> { std::panic::resume_unwind(Box::new("mine")) })
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"mine"));
    // What is run under another interrupt within is not under this one.
    outer.raise();
    let set = Set::new();
    let softmax = &calls(&set)[0].1;
    assert_eq!(outer.run(|| Interrupt::default().run(softmax)), softmax());
    assert_eq!(Error::Interrupted.to_string(), "interrupted");
}
