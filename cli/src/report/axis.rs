//! The temperature axis: logarithmic, with the limits 0 and ∞ beyond its ends.

use softargmax::Temperature;

/// What is shown of it, as powers of ten, and whether the limits are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    pub(super) zero: bool,
    pub(super) infinite: bool,
}

/// Where a temperature is on the axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Zero,
    /// From 0 at the left end to 1 at the right.
    Along(f64),
    Infinite,
}

impl Axis {
    /// Shows all of the temperatures, and two decades at least: in less there is no curve to see.
    pub(crate) fn around(temperatures: &[Temperature]) -> Self {
        let logs = || {
            let taus = temperatures.iter().map(|temperature| temperature.tau());
            taus.filter(|tau| *tau > 0.0 && tau.is_finite()).map(f64::log10)
        };
        let (low, high) = match (logs().reduce(f64::min), logs().reduce(f64::max)) {
            (Some(low), Some(high)) => (low, high),
            _ => (-2.0, 2.0),
        };
        let widen = (1.0 - (high - low) / 2.0).max(0.0);
        Self {
            low: low - widen,
            high: high + widen,
            zero: temperatures.contains(&Temperature::ZERO),
            infinite: temperatures.contains(&Temperature::INFINITE),
        }
    }

    /// `count` temperatures, evenly along the axis.
    pub(crate) fn samples(&self, count: usize) -> Vec<Temperature> {
        let step = (self.high - self.low) / (count.max(2) - 1) as f64;
        let taus = (0..count).map(|i| 10f64.powf(self.low + step * i as f64));
        taus.filter_map(|tau| Temperature::new(tau).ok()).collect()
    }

    pub(super) fn place(&self, temperature: Temperature) -> Place {
        match temperature.tau() {
            0.0 => Place::Zero,
            f64::INFINITY => Place::Infinite,
            tau => Place::Along((tau.log10() - self.low) / (self.high - self.low)),
        }
    }

    /// At most nine powers of ten, and the limits that are shown: where they are and how they are
    /// written.
    pub(super) fn ticks(&self) -> Vec<(Place, String)> {
        // An end that is a power of ten counts as one although its logarithm was rounded.
        let (first, last) = ((self.low - 1e-9).ceil() as i32, (self.high + 1e-9).floor() as i32);
        let stride = (last - first) / 9 + 1;
        // Multiples of the stride, so that 1 is among them whenever it is shown.
        let first = first + (-first).rem_euclid(stride);
        let along = |power| (f64::from(power) - self.low) / (self.high - self.low);
        let powers = (first..=last).step_by(stride as usize);
        let powers = powers.map(|power| (Place::Along(along(power)), power_of_ten(power)));
        let zero = self.zero.then(|| (Place::Zero, "0".to_owned()));
        let infinite = self.infinite.then(|| (Place::Infinite, "∞".to_owned()));
        zero.into_iter().chain(powers).chain(infinite).collect()
    }
}

fn power_of_ten(power: i32) -> String {
    if (-3..=4).contains(&power) {
        return format!("{}", 10f64.powi(power));
    }
    let superscript = |digit| match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        // The others stand together in Unicode, at the places of their values.
        digit => {
            digit.to_digit(10).and_then(|value| char::from_u32(0x2070 + value)).unwrap_or(digit)
        }
    };
    format!("10{}", power.to_string().chars().map(superscript).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(texts: &[&str]) -> Axis {
        let temperatures: Vec<Temperature> =
            texts.iter().map(|text| text.parse().expect("a temperature")).collect();
        Axis::around(&temperatures)
    }

    #[test]
    fn limits_are_beyond_the_ends_and_narrow_lists_are_widened() {
        let axis = axis(&["0", "1", "inf"]);
        assert_eq!((axis.low, axis.high, axis.zero, axis.infinite), (-1.0, 1.0, true, true));
        assert_eq!(axis.place(Temperature::ZERO), Place::Zero);
        assert_eq!(axis.place(Temperature::ONE), Place::Along(0.5));
        assert_eq!(axis.samples(3).iter().map(|t| t.tau()).collect::<Vec<_>>(), [0.1, 1.0, 10.0]);
    }

    #[test]
    fn ticks_are_powers_of_ten_that_include_one() {
        let texts = |axis: Axis| axis.ticks().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(axis(&["0.01", "100"])), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(texts(axis(&["inf", "0", "1"])), ["0", "0.1", "1", "10", "∞"]);
        let wide = texts(axis(&["1e-300", "1e300"]));
        assert!(wide.len() <= 9 && wide.contains(&"1".to_string()), "{wide:?}");
        assert_eq!(power_of_ten(-10), "10⁻¹⁰");
        assert_eq!(power_of_ten(256), "10²⁵⁶");
    }
}
