#![no_main]
//! Scans and tallies from any JSON: read, merged with themselves, worked out, written and read again.

use libfuzzer_sys::fuzz_target;
use softargmax::{Resampling, Scan, Tally, TemperatureFit};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut scan) = serde_json::from_slice::<Scan>(bytes) {
        let _ = TemperatureFit::from_scan(&scan, None);
        let other = scan.clone();
        scan.merge(&other).expect("a scan goes with itself");
        let fit = TemperatureFit::from_scan(&scan, None);
        let text = serde_json::to_vec(&scan).expect("written");
        let again: Scan = serde_json::from_slice(&text).expect("read again");
        assert_eq!(format!("{:?}", TemperatureFit::from_scan(&again, None)), format!("{fit:?}"));
    }
    if let Ok(mut tally) = serde_json::from_slice::<Tally>(bytes) {
        let other = tally.clone();
        tally.merge(&other);
        let _ = tally.summary();
        let _ = tally.calibration_error(&Resampling { replicates: 3, seed: 0 });
        let _ = tally.calibration_error_by_mass(15, &Resampling { replicates: 3, seed: 0 });
        let _ = (tally.kolmogorov_smirnov(), tally.reliability());
    }
});
