//! Some rows of logits with their labels, and what can be asked of them.

use softargmax::{
    AffineFit, Calibrator, ClasswiseError, Error, FitOptions, GroupsFit, Model, Outcome, Prior,
    Resampling, Rows, Scan, Score, Selection, Temperature, TemperatureFit, Temperatures,
    classwise_calibration_error, fit_bcts, fit_groups, fit_temperature, log_softmax_rows, scores,
    select,
};

use crate::input::{Dtype, IGNORED, Labels, Number};

/// Logits in memory.
#[derive(Clone)]
pub(super) enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Numbers {
    /// None yet, of the narrower of the two types that has them.
    pub(super) fn with_capacity(dtype: Dtype, capacity: usize) -> Self {
        match dtype {
            Dtype::F16 | Dtype::F32 => Numbers::F32(Vec::with_capacity(capacity)),
            Dtype::F64 => Numbers::F64(Vec::with_capacity(capacity)),
        }
    }

    /// The same in f32, if that has all of them.
    pub(super) fn narrowed(self) -> Self {
        let Numbers::F64(numbers) = &self else { return self };
        let narrow = |&x: &f64| <f32 as Number>::exactly(x);
        let narrow: Option<Vec<f32>> = numbers.iter().map(narrow).collect();
        narrow.map_or(self, Numbers::F32)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::F64(numbers) => numbers.len(),
        }
    }

    /// Two that were made for the same type.
    pub(super) fn append(&mut self, more: &Numbers) {
        match (self, more) {
            (Numbers::F32(numbers), Numbers::F32(more)) => numbers.extend_from_slice(more),
            (Numbers::F64(numbers), Numbers::F64(more)) => numbers.extend_from_slice(more),
            _ => {}
        }
    }
}

/// Rows that came together.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    /// The row of the file that is the first of these.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    pub(crate) classes: usize,
    pub(super) numbers: &'a Numbers,
    /// Those of all rows of the file.
    pub(super) labels: &'a Labels,
    /// Those of these rows.
    pub(crate) weights: Option<&'a [f64]>,
    /// The groups of these rows, where they have some.
    pub(crate) groups: Option<&'a [usize]>,
    pub(crate) group_names: &'a [String],
}

/// Does the same with numbers of either type: `rows` is bound to them.
macro_rules! with_rows {
    ($block:expr, $rows:ident => $do:expr) => {
        match $block.numbers {
            Numbers::F32(numbers) => {
                let $rows = Rows::new(numbers, $block.classes)?;
                $do
            }
            Numbers::F64(numbers) => {
                let $rows = Rows::new(numbers, $block.classes)?;
                $do
            }
        }
    };
}

impl<'a> Block<'a> {
    /// Whether a row, counted from the first of the file, has a label and a weight.
    pub(crate) fn counts(&self, row: usize) -> bool {
        let is_weighty = self.weights.is_none_or(|weights| weights[row - self.first] > 0.0);
        match self.labels {
            Labels::Classes(classes) => classes[row] != IGNORED && is_weighty,
            Labels::Shares(_) => is_weighty,
        }
    }

    /// Adds those of these rows that are to be kept to a scan.
    pub(crate) fn add_to(&self, scan: &mut Scan, keep: Keep) -> Result<(), Error> {
        let weights = self.weights_of(keep);
        let weights = weights.as_deref();
        match self.labels {
            Labels::Classes(classes) => {
                let labels = self.view(&classes[self.first..self.first + self.rows])?;
                with_rows!(self, rows => scan.add(rows, labels, weights))
            }
            Labels::Shares(_) => {
                let (rows, shares) = self.with_shares()?;
                scan.add(rows, shares, weights)
            }
        }
    }

    /// The temperature under which those of these rows that are to be kept are most likely.
    pub(crate) fn fit(&self, keep: Keep, prior: Option<Prior>) -> Result<TemperatureFit, Error> {
        let weights = self.weights_of(keep);
        let options = FitOptions { weights: weights.as_deref(), prior };
        match self.labels {
            Labels::Classes(classes) => {
                let labels = self.view(&classes[self.first..self.first + self.rows])?;
                with_rows!(self, rows => fit_temperature(rows, labels, &options))
            }
            Labels::Shares(_) => {
                let (rows, shares) = self.with_shares()?;
                fit_temperature(rows, shares, &options)
            }
        }
    }

    /// A score for every row that counts and is to be kept.
    pub(crate) fn scores(&self, keep: Keep, tau: Temperatures) -> Result<Vec<Score>, Error> {
        let Labels::Classes(_) = self.labels else { return self.scores_of_shares(keep, tau) };
        let labels = self.labels_of(keep);
        let labels = self.view(&labels)?;
        with_rows!(self, rows => scores(rows, labels, self.weights, tau))
    }

    /// The same by a richer model.
    pub(crate) fn scores_by(&self, keep: Keep, by: &Calibrator) -> Result<Vec<Score>, Error> {
        let logarithms = with_rows!(self, rows => by.log_probabilities(rows)?);
        let labels = self.labels_of(keep);
        let labels = self.view(&labels)?;
        scores(Rows::new(&logarithms, self.classes)?, labels, self.weights, Temperature::ONE)
    }

    /// Fits one of the models that have labels, not shares, by those of these rows that are to be kept.
    pub(crate) fn fit_bcts(&self, keep: Keep) -> Result<AffineFit, Error> {
        let labels = self.labels_of(keep);
        let labels = self.view(&labels)?;
        with_rows!(self, rows => fit_bcts(rows, labels, self.weights))
    }

    /// The same, of any model.
    pub(crate) fn fit_model(
        &self,
        keep: Keep,
        model: Model,
    ) -> Result<(Outcome, Option<Calibrator>), Error> {
        let labels = self.labels_of(keep);
        let labels = self.view(&labels)?;
        with_rows!(self, rows => model.fit(rows, labels, self.weights))
    }

    /// The same, of the model that is best on rows it was not fitted on.
    pub(crate) fn select(&self, keep: Keep, folds: usize, seed: u64) -> Result<Selection, Error> {
        let labels = self.labels_of(keep);
        let labels = self.view(&labels)?;
        with_rows!(self, rows => select(rows, labels, self.weights, &Model::ALL, folds, seed))
    }

    /// The same, of a temperature for every group.
    pub(crate) fn fit_groups(&self, keep: Keep) -> Result<GroupsFit, Error> {
        let labels = self.labels_of(keep);
        let labels = self.view(&labels)?;
        let groups = self.groups.unwrap_or_default();
        with_rows!(self, rows => fit_groups(rows, labels, self.weights, groups))
    }

    /// The classwise ECE of these rows.
    pub(crate) fn classwise(
        &self,
        tau: Temperature,
        bins: usize,
        resampling: &Resampling,
    ) -> Result<ClasswiseError, Error> {
        let labels = self.labels_of(&|_| true);
        let labels = self.view(&labels)?;
        with_rows!(self, rows => {
            classwise_calibration_error(rows, labels, self.weights, tau, bins, resampling)
        })
    }

    /// The labels of these rows, less those of rows that do not count or are not to be kept.
    fn labels_of(&self, keep: Keep) -> Vec<i64> {
        let Labels::Classes(classes) = self.labels else { return Vec::new() };
        let rows = self.first..self.first + self.rows;
        let label = |row| if self.counts(row) && keep(row) { classes[row] } else { IGNORED };
        rows.map(label).collect()
    }

    fn view<'b>(&self, labels: &'b [i64]) -> Result<softargmax::Labels<'b>, Error> {
        softargmax::Labels::with_ignored(labels, self.classes, IGNORED)
    }

    /// The weights of these rows, 0 where they are not to be kept; `None` where all weigh the same.
    fn weights_of(&self, keep: Keep) -> Option<Vec<f64>> {
        let rows = self.first..self.first + self.rows;
        if self.weights.is_none() && rows.clone().all(keep) {
            return None;
        }
        let weight = |row: usize| match (keep(row), self.weights) {
            (false, _) => 0.0,
            (true, None) => 1.0,
            (true, Some(weights)) => weights[row - self.first],
        };
        Some(rows.map(weight).collect())
    }

    /// Logits whose labels are shares are read as f64, which shares are.
    fn with_shares(&self) -> Result<(Rows<'a, f64>, Rows<'a, f64>), Error> {
        let (Numbers::F64(numbers), Labels::Shares(shares)) = (self.numbers, self.labels) else {
            return Err(Error::Shape { what: "shares", expected: self.rows, got: 0 });
        };
        let shares = &shares[self.first * self.classes..(self.first + self.rows) * self.classes];
        Ok((Rows::new(numbers, self.classes)?, Rows::new(shares, self.classes)?))
    }

    /// The same for shares q: the NLL is −Σ q ln p, the Brier score Σ (p − q)². No row is right or wrong.
    fn scores_of_shares(&self, keep: Keep, tau: Temperatures) -> Result<Vec<Score>, Error> {
        let (rows, shares) = self.with_shares()?;
        let logarithms = log_softmax_rows(rows, tau)?;
        let logarithms = logarithms.chunks_exact(self.classes).zip(shares.iter());
        let kept = logarithms.enumerate().filter(|(at, _)| {
            let row = self.first + at;
            self.counts(row) && keep(row)
        });
        let score = |(at, (logarithms, shares)): (usize, (&[f64], &[f64]))| {
            let (mut nll, mut brier, mut confidence, mut best) = (0.0, 0.0, 0.0, 0);
            for (class, (&l, &q)) in logarithms.iter().zip(shares).enumerate() {
                let p = libm::exp(l);
                // 0 · ∞ is nothing: what has no share need not be possible.
                nll -= if q > 0.0 { q * l } else { 0.0 };
                brier += (p - q) * (p - q);
                if p > confidence {
                    (confidence, best) = (p, class);
                }
            }
            let rest = logarithms.iter().enumerate().filter(|&(class, _)| class != best);
            let doubt = rest.map(|(_, &l)| libm::exp(l)).sum();
            let weight = self.weights.map_or(1.0, |weights| weights[at]);
            Score { nll, brier, confidence, doubt, correct: false, weight }
        };
        Ok(kept.map(score).collect())
    }
}

/// Which rows, counted from the first of the file, are meant.
pub(crate) type Keep<'a> = &'a dyn Fn(usize) -> bool;
