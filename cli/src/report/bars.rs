//! A distribution as a row of bars, one character each.

/// The characters of a bar, from lowest to highest.
pub(super) struct Bars(&'static [char]);

const BLOCKS: &[char] = &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: &[char] = &['_', '.', ':', '-', '=', '+', '*', '#'];

impl Bars {
    /// Blocks where the locale says UTF-8, otherwise ASCII.
    pub(super) fn for_locale() -> Self {
        let set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        // In the order in which POSIX lets one override another.
        let decisive = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set);
        let locale = decisive.and_then(|name| std::env::var(name).ok()).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let is_utf8 = cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8");
        Self(if is_utf8 { BLOCKS } else { ASCII })
    }

    /// Whether nothing but ASCII may be printed.
    pub(super) fn are_ascii(&self) -> bool {
        self.0 == ASCII
    }

    /// One character per value; `full` is the value of the highest bar.
    pub(super) fn draw(&self, values: &[f64], full: f64) -> String {
        let steps = self.0.len() as f64;
        let bar = |&value: &f64| {
            // A NaN becomes 0 here, which is as low as it can be shown.
            let level = (value / full * steps).round() as usize;
            self.0[level.clamp(1, self.0.len()) - 1]
        };
        values.iter().map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_run_from_the_lowest_to_the_highest() {
        assert_eq!(Bars(BLOCKS).draw(&[0.0, 1e-40, 0.25, 0.5, 1.0, f64::NAN], 1.0), "▁▁▂▄█▁");
        assert_eq!(Bars(ASCII).draw(&[0.0, 0.5, 1.0], 1.0), "_-#");
    }
}
