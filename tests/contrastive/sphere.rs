//! Levels of vectors spread evenly over the sphere, and what is said of vectors without a temperature.

#![allow(clippy::excessive_precision)] // as they were computed

use softargmax::{
    Error, Rows, Temperature, alignment, normface_lower_bound, normface_scale_for_loss,
    sphere_floor, sphere_log_mean_exp, sphere_scale_for_floor, sphere_uniformity,
    sphere_unrelated_level, tolerance, uniformity,
};

use crate::contrastive::{close, noise, rows, tau};

/// From mpmath with 40 digits: research for MoCo's K = 65536, D = 128, and others.
#[test]
fn levels_of_known_sizes() {
    close(sphere_log_mean_exp(128, tau(0.07)).unwrap().exp(), 2.2086518151005983, 1e-13);
    close(sphere_floor(65536, 128, tau(0.07)).unwrap(), 0.086588875888247293, 1e-13);
    close(sphere_unrelated_level(65536, 128, tau(0.07)).unwrap(), 11.882744088543737, 1e-14);
    close(sphere_floor(65536, 768, tau(0.07)).unwrap(), 0.0457090824, 1e-8);
    close(sphere_floor(65536, 128, tau(0.2)).unwrap(), 6.18998987505, 1e-11);
    // What nothing can be below, at the same sizes.
    close(normface_lower_bound(65537, 1.0 / 0.07).unwrap(), 0.040126916823864991, 1e-13);
    close(normface_lower_bound(1025, 1.0).unwrap(), 5.933148884795731, 1e-14);
    close(normface_lower_bound(1025, 1.0 / 0.07).unwrap(), 6.3080814320863e-4, 1e-13);
    for (classes, loss, want) in [(256, 0.1, 0.1288), (4096, 0.1, 0.0946), (65536, 0.01, 0.0637)] {
        let scale = normface_scale_for_loss(classes, loss).unwrap();
        assert!((1.0 / scale - want).abs() < 1e-4, "{classes} {loss}: {}", 1.0 / scale);
    }
}

#[test]
fn limits_of_uniformity() {
    for (width, want) in [(64, -3.87523558968), (128, -3.93753001020), (512, -3.98437547494)] {
        assert!((sphere_uniformity(width).unwrap() - want).abs() < 1e-11, "{width}");
        assert!((sphere_uniformity(width).unwrap() - (quadrature(width, 4.0) - 4.0)).abs() < 1e-13);
    }
}

/// ln of ∫ e^(κ cos θ) sin^(D−2) θ dθ over that at κ = 0, by the trapezoidal rule, which is exact to rounding for a
/// smooth function of one period (even D).
fn quadrature(width: usize, scale: f64) -> f64 {
    let points = 40_000;
    let of = |scale: f64| -> f64 {
        let at = |i: usize| {
            let angle = std::f64::consts::PI * i as f64 / points as f64;
            let power = if width == 2 { 0.0 } else { (width - 2) as f64 * angle.sin().abs().ln() };
            scale * (angle.cos() - 1.0) + power
        };
        let most = (0..=points).map(at).fold(f64::NEG_INFINITY, f64::max);
        let weight = |i| if i == 0 || i == points { 0.5 } else { 1.0 };
        most + (0..=points).map(|i| weight(i) * (at(i) - most).exp()).sum::<f64>().ln()
    };
    scale + of(scale) - of(0.0)
}

#[test]
fn the_mean_over_the_sphere_is_the_integral() {
    for width in [2, 4, 10, 64, 512] {
        for scale in [0.01, 1.0, 5.0, 30.0, 100.0, 650.0, 699.9, 700.1, 2000.0, 1e5] {
            let tau = Temperature::from_scale(scale).unwrap();
            let (got, want) = (sphere_log_mean_exp(width, tau).unwrap(), quadrature(width, scale));
            assert!((got - want).abs() < 3e-13 * want.max(1.0), "{width} {scale}: {got} {want}");
        }
    }
    // In one dimension it is cosh κ, in three sinh κ/κ.
    for scale in [0.1f64, 3.0, 100.0, 699.0, 701.0, 1e6] {
        let of =
            |width| sphere_log_mean_exp(width, Temperature::from_scale(scale).unwrap()).unwrap();
        let decay = (-2.0 * scale).exp();
        close(of(1), scale - 2f64.ln() + decay.ln_1p(), 1e-13);
        close(of(3), scale - (2.0 * scale).ln() + (-decay).ln_1p(), 3e-13);
    }
}

#[test]
fn limits_and_refusals() {
    let of =
        |tau| (sphere_floor(100, 8, tau).unwrap(), sphere_unrelated_level(100, 8, tau).unwrap());
    let ln = 101f64.ln();
    assert_eq!(of(Temperature::ZERO), (0.0, f64::INFINITY));
    let (floor, level) = of(Temperature::INFINITE);
    assert!((floor - ln).abs() < 1e-15 && (level - ln).abs() < 1e-15);
    close(sphere_floor(100, 1, Temperature::ZERO).unwrap(), 51f64.ln(), 1e-14);
    assert_eq!(sphere_floor(0, 8, Temperature::ONE), Ok(0.0));
    assert_eq!(sphere_unrelated_level(0, 8, Temperature::ONE), Ok(0.0));
    assert_eq!(sphere_floor(5, 0, Temperature::ONE), Err(Error::NoClasses));
    assert_eq!(sphere_scale_for_floor(0, 8, 0.1), Err(Error::NoClasses));
    for loss in [f64::NAN, -0.1, 4.7] {
        assert!(
            matches!(sphere_scale_for_floor(100, 8, loss), Err(Error::Parameter { .. })),
            "{loss}"
        );
    }
    assert!(sphere_scale_for_floor(100, 1, 50f64.ln()).is_err());
    assert_eq!(sphere_scale_for_floor(100, 8, 0.0), Ok(f64::INFINITY));
    assert_eq!(
        sphere_scale_for_floor(100, 8, 101f64.ln_1p()),
        Err(Error::Parameter {
            what: "loss",
            got: 101f64.ln_1p(),
            allowed: "above what the floor is at scale inf, to ln(1 + negatives)",
        })
    );
}

#[test]
fn the_scale_for_a_floor_has_it() {
    for (negatives, width) in [(1, 2), (255, 32), (65536, 128), (1_000_000, 768)] {
        for loss in [1e-12, 1e-3, 0.1, 0.6] {
            let scale = sphere_scale_for_floor(negatives, width, loss).unwrap();
            if scale < 1e6 {
                let tau = Temperature::from_scale(scale).unwrap();
                close(sphere_floor(negatives, width, tau).unwrap(), loss, 1e-10);
            }
        }
    }
}

/// Of a simplex the floor is that of the simplex, and of nothing else.
#[test]
fn the_corners_of_a_simplex_reach_its_floor() {
    let n = 9;
    let corner = |i: usize| (0..n).map(move |j| if i == j { 8.0 } else { -1.0 });
    let corners: Vec<f64> = (0..n).flat_map(corner).collect();
    let corners = rows(&corners, n);
    for value in [0.05, 0.2, 1.0] {
        let options = softargmax::ContrastiveOptions::default();
        let loss = softargmax::info_nce_in_batch(corners, corners, tau(value), &options).unwrap();
        close(loss.value(), normface_lower_bound(n, 1.0 / value).unwrap(), 1e-12);
        // Eight dimensions, of which many evenly spread vectors make less.
        assert!(loss.value() < sphere_floor(n - 1, 8, tau(value)).unwrap());
    }
}

#[test]
fn geometry_is_what_its_formulas_say() {
    let (count, width) = (700, 5);
    let (x, y) = (noise(1, count * width), noise(2, count * width));
    let labels: Vec<i64> = (0..count as i64).map(|i| i * i % 7 - 3).collect();
    let unit = |data: &[f64]| -> Vec<Vec<f64>> {
        let row = |row: &[f64]| {
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter().map(|x| x / length).collect()
        };
        data.chunks(width).map(row).collect()
    };
    let square =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let (u, v) = (unit(&x), unit(&y));
    let mean = u.iter().zip(&v).map(|(u, v)| square(u, v)).sum::<f64>() / count as f64;
    close(alignment(rows(&x, width), rows(&y, width)).unwrap(), mean, 1e-14);

    let (mut pairs, mut sum, mut same, mut cosines) = (0.0, 0.0, 0.0, 0.0);
    for i in 0..count {
        for j in (0..count).filter(|&j| j != i) {
            pairs += 1.0;
            sum += (-2.0 * square(&u[i], &u[j])).exp();
            if labels[i] == labels[j] {
                same += 1.0;
                cosines += 1.0 - square(&u[i], &u[j]) / 2.0;
            }
        }
    }
    close(uniformity(rows(&x, width)).unwrap(), (sum / pairs).ln(), 1e-13);
    let got = tolerance(rows(&x, width), &labels).unwrap().unwrap();
    assert!((got - cosines / same).abs() < 1e-14, "{got} {}", cosines / same);
    let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    assert!((uniformity(rows(&single, width)).unwrap() - (sum / pairs).ln()).abs() < 1e-6);
}

#[test]
fn what_has_no_pairs_is_said() {
    let one = rows(&[1.0, 0.0], 2);
    let none: Rows<'_, f64> = rows(&[], 2);
    assert_eq!(uniformity(one), Err(Error::NoRows));
    assert_eq!(alignment(none, none), Err(Error::NoRows));
    assert_eq!(tolerance(one, &[1]), Ok(None));
    assert!(matches!(tolerance(one, &[1, 2]), Err(Error::Shape { .. })));
    let bad = rows(&[1.0, 0.0, 0.0, f64::NAN], 2);
    assert!(matches!(uniformity(bad), Err(Error::Row { row: 1, .. })));
    assert!(matches!(alignment(bad, bad), Err(Error::Row { row: 1, .. })));
    assert!(matches!(tolerance(bad, &[1, 2]), Err(Error::Row { row: 1, .. })));
}
