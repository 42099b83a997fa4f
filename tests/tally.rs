//! A tally: what it says of all rows, however they were split up.

use crate::support::random::Random;
use crate::support::scores::{NO_CHANCE, rows_of_all_kinds, score};
use softargmax::{
    Binning, Resampling, Score, Tally, calibration_error, kolmogorov_smirnov, summarise,
};

/// Scores of every kind with weights: nearly certain rows, ties, 0 and 1.
fn weighted_rows() -> Vec<Score> {
    let mut random = Random::new(31);
    let mut rows = rows_of_all_kinds();
    rows.extend((0..2000).map(|_| {
        let doubt = 0.6 * random.unit().powi(20);
        Score { doubt, ..score(1.0 - doubt, random.unit() >= doubt) }
    }));
    for row in &mut rows {
        row.weight = 0.5 + random.unit();
        row.nll = row.doubt + row.weight;
        row.brier = 2.0 * row.doubt;
    }
    rows
}

fn tally(scores: &[Score]) -> Tally {
    let mut tally = Tally::default();
    tally.add(scores);
    tally
}

#[test]
fn a_tally_does_not_see_how_rows_were_split_up() {
    let all = weighted_rows();
    for (rows, size) in [(40, 1), (3000, 101), (3000, 1000), (3000, 2999)] {
        let rows = &all[..rows];
        let whole = tally(rows);
        let mut parts: Vec<_> = rows.chunks(size).map(tally).collect();
        let mut random = Random::new(size as u64);
        // In any order, and by pairs.
        while parts.len() > 1 {
            let part = parts.swap_remove(random.below(parts.len()));
            let at = random.below(parts.len());
            parts[at].merge(&part);
        }
        assert!(parts[0] == whole, "{size}");
        assert_eq!(format!("{:?}", parts[0].summary()), format!("{:?}", whole.summary()));
    }
    let mut with_nothing = tally(&all);
    with_nothing.merge(&Tally::default());
    assert!(with_nothing == tally(&all));
}

#[test]
fn a_tally_says_what_the_rows_say() {
    let rows = weighted_rows();
    let whole = tally(&rows);
    let chance = Resampling { replicates: 4000, seed: 0 };
    assert_eq!(format!("{:?}", whole.summary()), format!("{:?}", summarise(&rows)));

    let (got, want) = (
        whole.calibration_error(&chance),
        calibration_error(&rows, Binning::EqualWidth(15), &chance),
    );
    assert_eq!(
        (got.ece, got.max, got.debiased, got.bins),
        (want.ece, want.max, want.debiased, want.bins)
    );
    assert!((got.null.mean / want.null.mean - 1.0).abs() < 0.03, "{:?} {:?}", got.null, want.null);
    assert!((got.null.quantile_95 / want.null.quantile_95 - 1.0).abs() < 0.05);

    let (got, want) = (
        whole.calibration_error_by_mass(10, &chance),
        calibration_error(&rows, Binning::EqualMass(10), &chance),
    );
    println!(
        "by mass {} and {}, floors {} and {}",
        got.ece, want.ece, got.null.mean, want.null.mean
    );
    assert!((got.ece - want.ece).abs() < want.null.mean, "{} and {}", got.ece, want.ece);
    assert!((got.null.mean / want.null.mean - 1.0).abs() < 0.1);
    let weight: f64 = got.bins.iter().map(|bin| bin.weight).sum();
    assert!((weight - want.bins.iter().map(|bin| bin.weight).sum::<f64>()).abs() < 1e-9);

    let (got, want) = (whole.kolmogorov_smirnov(), kolmogorov_smirnov(&rows, &NO_CHANCE).value);
    let bins = whole.reliability();
    let heaviest = bins.iter().map(|bin| bin.weight).fold(0.0, f64::max) / weight;
    println!("KS {got} and {want}, heaviest bin {heaviest}");
    assert!(got <= want * (1.0 + 1e-12) && want <= got + heaviest);
    // Most of the bins are small, and so is what they hide.
    assert!(got > 0.8 * want);

    assert_eq!(bins.iter().map(|bin| bin.rows).sum::<u64>(), rows.len() as u64);
    for bin in &bins {
        let inside = (bin.lower * (1.0 - 1e-14))..=(bin.upper * (1.0 + 1e-14));
        assert!(inside.contains(&bin.confidence), "{bin:?}");
    }
    assert!((bins[0].lower, bins[bins.len() - 1].upper) == (0.0, 1.0));
}

#[test]
fn an_empty_tally() {
    let none = Tally::default();
    assert!(none.summary().nll.value.is_nan() && none.summary().rows == 0);
    assert!(none.calibration_error(&Resampling::default()).ece.is_nan());
    assert!(none.calibration_error_by_mass(15, &Resampling::default()).null.mean.is_nan());
    assert!(none.kolmogorov_smirnov().is_nan() && none.reliability().is_empty());
    assert!(tally(&weighted_rows()).calibration_error_by_mass(0, &NO_CHANCE).ece.is_nan());
}

#[cfg(feature = "serde")]
#[test]
fn a_tally_comes_back_from_a_file() {
    let mut whole = tally(&weighted_rows());
    let text = serde_json::to_string(&whole).unwrap();
    assert!(serde_json::from_str::<Tally>(&text).unwrap() == whole);
    whole.add(&[Score { nll: f64::INFINITY, ..score(0.5, false) }]);
    let text = serde_json::to_string(&whole).unwrap();
    let back: Tally = serde_json::from_str(&text).unwrap();
    assert_eq!(format!("{:?}", back.summary()), format!("{:?}", whole.summary()));
    assert_eq!(back.summary().nll.value, f64::INFINITY);
    let mut short: serde_json::Value = serde_json::from_str(&text).unwrap();
    short["odds"].as_array_mut().unwrap().pop();
    let error = serde_json::from_value::<Tally>(short).unwrap_err().to_string();
    assert!(error.contains("255 bins, expected 256"), "{error}");
}
