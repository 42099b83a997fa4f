//! The promised accuracy, over the oracle grid. A thinner grid than that of `make accuracy`, for its time.

use crate::support::grid::{Share, points};
use crate::support::measure::over;
use crate::support::number::Number;
use softargmax::{Temperature, log_softmax, softmax};

fn within_bounds<T: Number>(share: Share) {
    let mut wrong = Vec::new();
    for reached in over::<T>(&points(share)) {
        let line = format!(
            "{} {:?}: {:.3} ULP (mean {:.3}) at {}; allowed {}",
            reached.function.name(),
            reached.dtype,
            reached.max,
            reached.mean,
            reached.at,
            reached.bound()
        );
        println!("{line}");
        if !(reached.max <= reached.bound()) {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn f32_is_within_its_bounds() {
    within_bounds::<f32>(Share { short: 1, middle: 12, long: 300 });
}

#[test]
fn f64_is_within_its_bounds() {
    within_bounds::<f64>(Share { short: 1, middle: 12, long: 300 });
}

#[cfg(feature = "half")]
#[test]
fn f16_and_bf16_are_within_their_bounds() {
    within_bounds::<half::f16>(Share { short: 2, middle: 60, long: 2000 });
    within_bounds::<half::bf16>(Share { short: 2, middle: 60, long: 2000 });
}

/// exp(−21.64) is 3.998…e-10: `1 − p` in f32, or the logarithm of an f64 p that was rounded, would lose it.
#[test]
fn the_log_of_a_confident_row_keeps_what_the_maximum_leaves_over() {
    let want = -3.9982266676872717e-10;
    let log_p = log_softmax(&[21.64_f64, 0.0], Temperature::ONE).unwrap();
    assert!((log_p[0] / want - 1.0).abs() < 1e-15, "{:e}", log_p[0]);
    let log_p = log_softmax(&[21.64_f32, 0.0], Temperature::ONE).unwrap();
    // 21.64 as f32 is 21.63999939.
    assert_eq!(log_p[0], -3.998229e-10);
    assert_eq!(log_p[1], -21.64);
}

#[test]
fn subnormal_probabilities_are_returned() {
    let p = softmax(&[0.0_f32, -90.0, -100.0, -103.0, -104.0], Temperature::ONE).unwrap();
    // In units of 2^-149: 584744.28, 26.55, 1.32 and 0.49.
    let units: Vec<u32> = p[1..].iter().map(|p| p.to_bits()).collect();
    assert_eq!(units, [584744, 27, 1, 0]);
    let p = softmax(&[0.0_f64, -709.0, -740.0, -745.0, -746.0], Temperature::ONE).unwrap();
    // In units of 2^-1074: 2462791657071416.28, 84.78, 0.57 and 0.21.
    let units: Vec<u64> = p[1..].iter().map(|p| p.to_bits()).collect();
    assert_eq!(units, [2_462_791_657_071_416, 85, 1, 0]);
}
