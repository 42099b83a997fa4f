//! Schedules: their ends, their middle, and that nothing leads beyond them.

use super::{near, tau};
use softargmax::{
    Error, Temperature, cosine_temperature, cyclic_temperature, exponential_temperature,
    gumbel_softmax_temperature, linear_temperature,
};

type Schedule = fn(Temperature, Temperature, u64, u64) -> Result<Temperature, Error>;

const ONCE: [Schedule; 3] = [linear_temperature, cosine_temperature, exponential_temperature];

#[test]
fn from_one_end_to_the_other() {
    for (from, to) in [(0.04, 0.07), (5.0, 0.1), (1e-300, 1e300), (0.3, 0.3)] {
        let (from, to) = (tau(from), tau(to));
        for of in ONCE {
            assert_eq!(of(from, to, 0, 100).unwrap(), from);
            for after in [100, 101, u64::MAX] {
                assert_eq!(of(from, to, after, 100).unwrap(), to);
            }
            assert_eq!(of(from, to, 0, 0).unwrap(), to); // no steps: there at once
            let mut last = from;
            for step in 1..=100 {
                let next = of(from, to, step, 100).unwrap();
                let falls = next.tau() <= last.tau();
                let rises = next.tau() >= last.tau();
                assert!(if to.tau() < from.tau() { falls } else { rises }, "step {step}");
                last = next;
            }
        }
    }
}

#[test]
fn the_digits_of_the_ends_are_kept() {
    // One tenth, and not the double next to it.
    let tenth: Temperature = "0.1".parse().unwrap();
    for of in ONCE {
        assert_eq!(of(tau(1.0), tenth, 7, 7).unwrap(), tenth);
        assert_ne!(of(tau(1.0), tenth, 7, 7).unwrap(), tau(0.1));
    }
}

#[test]
fn known_values() {
    let at =
        |of: Schedule, from, to, step, steps| of(tau(from), tau(to), step, steps).unwrap().tau();
    near(at(linear_temperature, 1.0, 2.0, 1, 4), 1.25, 1e-15);
    // (1 + cos(π/3))/2 = 3/4
    near(at(cosine_temperature, 1.0, 0.0, 1, 3), 0.75, 1e-15);
    near(at(cosine_temperature, 2.0, 1.0, 3, 4), 1.1464466094067263, 1e-15); // 1 + (1 − √½)/2
    near(at(exponential_temperature, 1.0, 0.001, 1, 3), 0.1, 1e-15);
    // Kukleva et al.: τ− = 0.1, τ+ = 1.
    let cyclic = |step| cyclic_temperature(tau(0.1), tau(1.0), step, 400).unwrap().tau();
    near(cyclic(100), 0.55, 1e-15);
    near(cyclic(50), 0.1 + 0.9 * 0.8535533905932737, 1e-15); // (1 + √½)/2
    for step in 0..400 {
        assert_eq!(cyclic(step), cyclic(step + 400));
        assert_eq!(cyclic(step), cyclic(400 - step));
    }
    assert_eq!(cyclic_temperature(tau(0.1), tau(1.0), u64::MAX, u64::MAX).unwrap(), tau(1.0));
    let gumbel = |step| gumbel_softmax_temperature(1e-5, tau(0.5), step).unwrap().tau();
    near(gumbel(30_000), 0.7408182206817179, 1e-15); // e^-0.3
    assert!(gumbel(69_314) > 0.5 && gumbel(69_315) == 0.5); // ln 2 = 0.69314718…
    assert_eq!(gumbel_softmax_temperature(0.0, tau(0.5), u64::MAX).unwrap(), tau(1.0));
}

#[test]
fn refusals() {
    let parameter = |result: Result<Temperature, Error>| {
        assert!(matches!(result, Err(Error::Parameter { .. })), "{result:?}");
    };
    for of in ONCE {
        parameter(of(Temperature::INFINITE, tau(1.0), 1, 2));
        parameter(of(tau(1.0), Temperature::INFINITE, 1, 2));
    }
    parameter(exponential_temperature(tau(1.0), Temperature::ZERO, 1, 2));
    parameter(exponential_temperature(Temperature::ZERO, tau(1.0), 1, 2));
    parameter(cyclic_temperature(tau(0.1), tau(1.0), 1, 0));
    for rate in [-1e-5, f64::NAN, f64::INFINITY] {
        parameter(gumbel_softmax_temperature(rate, tau(0.5), 1));
    }
}
