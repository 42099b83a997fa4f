//! Colours for any number of lines that have an order, on light pages and on dark ones.
//!
//! Two ramps over matplotlib's *plasma*, which stays ordered and distinct for every common kind of
//! colour blindness; each keeps away from the end that would vanish in its background.

type Rgb = [u8; 3];

const LIGHT: [Rgb; 5] = [
    [0x0d, 0x08, 0x87],
    [0x5c, 0x01, 0xa6],
    [0x9c, 0x17, 0x9e],
    [0xcc, 0x47, 0x78],
    [0xea, 0x78, 0x53],
];
const DARK: [Rgb; 5] = [
    [0xb9, 0x4b, 0xd6],
    [0xd8, 0x57, 0x9f],
    [0xed, 0x79, 0x53],
    [0xfd, 0xb4, 0x2f],
    [0xf0, 0xf9, 0x21],
];

/// One rule per line for each kind of page; whatever is drawn in `currentColor` follows.
pub(super) fn style(lines: usize) -> String {
    let rules = |ramp: &[Rgb; 5]| -> String {
        (0..lines).map(|i| format!(".s{i}{{color:{}}}", colour(ramp, i, lines))).collect()
    };
    let (light, dark) = (rules(&LIGHT), rules(&DARK));
    format!(
        "text{{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;\
         fill:#1f2328}}.page{{fill:#fff}}.quiet{{fill:#59636e}}.grid{{stroke:#dde2e7}}\
         .edge{{stroke:#8c959f}}.dot{{stroke:#fff}}{light}\
         @media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.page{{fill:#0d1117}}\
         .quiet{{fill:#9198a1}}.grid{{stroke:#262c36}}.edge{{stroke:#656c76}}.dot{{stroke:#0d1117}}\
         {dark}}}"
    )
}

/// The i-th of n colours, evenly along the ramp.
fn colour(ramp: &[Rgb; 5], i: usize, n: usize) -> String {
    let place = i as f64 / (n.max(2) - 1) as f64 * (ramp.len() - 1) as f64;
    let below = (place as usize).min(ramp.len() - 2);
    let share = place - below as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    let [r, g, b] = std::array::from_fn(|k| mix(ramp[below][k], ramp[below + 1][k]));
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_met_at_its_ends_and_needs_no_second_line() {
        assert_eq!(colour(&LIGHT, 0, 50), "#0d0887");
        assert_eq!(colour(&LIGHT, 49, 50), "#ea7853");
        assert_eq!(colour(&LIGHT, 0, 1), "#0d0887");
    }
}
