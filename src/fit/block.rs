//! A block of rows into a scan: rows of few classes sixteen at a time, longer ones one by one.

use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::fit::depth::mean_depth;
use crate::fit::few::{FEW, ROWS, Together};
use crate::fit::row::{Depth, Gap, Node, OfRow, Row, Space, of_row};
use crate::fit::scan::{NAMED_ROWS, Scan};
use crate::parallel::{Job, Join};
use crate::rows::{Rows, Truth};
use crate::scratch::Scratch;
use crate::simd::{Kernel, Simd};
use crate::softmax::batch::{fetch_ahead, in_real};
use crate::softmax::row::{Peak, find_peak};

/// A distribution as a label may miss the sum 1 by this much: f16 rounds that coarsely.
const SUM_TOLERANCE: f64 = 4e-3;

/// Some rows on their way into a scan.
pub(crate) struct Block<'a, 's, T> {
    pub(super) scan: &'s Scan,
    pub(super) logits: Rows<'a, T>,
    pub(super) truth: Truth<'a, T>,
    pub(super) weights: Option<&'a [f64]>,
    /// The place of the first row among those that came together.
    pub(super) first: usize,
}

impl Join for Result<Scan, Error> {
    fn join(self, right: Self) -> Self {
        // Of two errors, that of the earlier row.
        let mut scan = self?;
        scan.absorb(&right?);
        Ok(scan)
    }
}

impl<T: Element> Job for Block<'_, '_, T> {
    fn rows(&self) -> usize {
        self.logits.rows()
    }

    fn row_len(&self) -> usize {
        self.logits.classes()
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (logits, logits_right) = self.logits.split_at(row);
        let (truth, truth_right) = self.truth.split_at(row);
        let weights = self.weights.map(|weights| weights.split_at(row));
        let Block { scan, first, .. } = self;
        (
            Block { scan, logits, truth, weights: weights.map(|w| w.0), first },
            Block {
                scan,
                logits: logits_right,
                truth: truth_right,
                weights: weights.map(|w| w.1),
                first: first + row,
            },
        )
    }
}

impl<T: Element> Kernel for Block<'_, '_, T> {
    type Output = Result<Scan, Error>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let Block { scan: asked, logits, truth, weights, first } = self;
        let scan = asked.empty_like();
        let nodes = asked.temperatures().filter_map(Node::new).collect();
        let (depths, space) = (asked.depths().collect(), Space::new());
        let mut sums = Sums { scan, nodes, depths, space, ones: 0, ones_won: 0 };
        let classes = logits.classes();
        let ahead = fetch_ahead::<T>(classes);
        let mut together = (classes <= FEW).then(|| Group::new(classes));
        let mut scratch = Scratch::new();
        for (i, logits) in logits.iter().enumerate() {
            let row = first + i;
            let weight = weights.map_or(1.0, |weights| weights[i]);
            if !(weight >= 0.0 && weight.is_finite()) {
                // A row that waits is an earlier one, and may be refused itself.
                together.map_or(Ok(()), |mut group| group.add_to(&mut sums, simd, &truth))?;
                return Err(Error::Weight { row, got: weight });
            }
            sums.scan.rows += 1;
            if weight == 0.0 || truth.is_ignored(i) {
                sums.scan.ignored += 1;
                continue;
            }
            let here = Place { row, local: i, weight };
            match &mut together {
                Some(group) => {
                    group.rows.push((here, logits));
                    if group.is_full() {
                        group.add_to(&mut sums, simd, &truth)?;
                    }
                }
                None => sums.add(simd, here, in_real(logits, &mut scratch), &truth, ahead)?,
            }
        }
        together.map_or(Ok(()), |mut group| group.add_to(&mut sums, simd, &truth))?;
        sums.add_ones();
        Ok(sums.scan)
    }
}

/// Where a row stands, and how much it weighs.
#[derive(Clone, Copy)]
struct Place {
    /// Among the rows that came together, and in this block.
    row: usize,
    local: usize,
    weight: f64,
}

/// A scan, and what it takes to add to it.
struct Sums<R> {
    scan: Scan,
    nodes: Vec<Node<R>>,
    depths: Vec<Depth>,
    space: Space<R>,
    /// Rows of weight 1, and those of them that were won: they are added at the end.
    ones: u32,
    ones_won: u32,
}

impl<R: Real> Sums<R> {
    fn wants_f64(&self) -> bool {
        self.depths.iter().any(|&depth| depth != Depth::Draft)
    }

    /// One row by itself.
    #[inline(always)]
    fn add<S: Simd, T: Element<Real = R>>(
        &mut self,
        simd: S,
        here: Place,
        logits: &[R],
        truth: &Truth<T>,
        ahead: usize,
    ) -> Result<(), Error> {
        simd.call(AddOne { sums: self, here, logits, truth, ahead })
    }

    #[inline(always)]
    fn add_inlined<S: Simd, T: Element<Real = R>>(
        &mut self,
        simd: S,
        here: Place,
        logits: &[R],
        truth: &Truth<T>,
        ahead: usize,
    ) -> Result<(), Error> {
        let refused = |reason| Error::Row { row: here.row, reason };
        let max = match find_peak(simd, logits) {
            Peak::Finite(max) => max,
            Peak::Infinite => return Err(refused("it has a logit of +inf")),
            Peak::None { nan: true } => return Err(refused("it holds a NaN")),
            Peak::None { nan: false } => return Err(refused("every logit is -inf")),
        };
        let gap = truth.gap(here.local, logits, max).ok_or_else(|| refused(NO_DISTRIBUTION))?;
        if !self.admit(here, gap) {
            return Ok(());
        }
        if self.scan.wants_survey() {
            self.scan.survey.add(here.weight, gap, mean_depth(simd, logits, max));
        }
        if self.wants_f64() {
            self.space.widen(simd, logits, max, ahead);
        }
        let row = Row { logits, max, gap, ahead };
        for k in 0..self.nodes.len() {
            let of_row = of_row(simd, &row, &self.nodes[k], self.depths[k], &mut self.space);
            self.scan.add_at(k, self.depths[k], here.weight, &of_row);
        }
        Ok(())
    }

    /// Counts a row; whether there is more to add of it.
    fn admit(&mut self, here: Place, gap: Gap) -> bool {
        let scan = &mut self.scan;
        if here.weight == 1.0 {
            self.ones += 1;
        } else {
            scan.weight.add(here.weight);
            scan.weight_squared.add(here.weight * here.weight);
        }
        if gap.is_infinite() {
            scan.infinite += 1;
            if scan.infinite_rows.len() < NAMED_ROWS {
                scan.infinite_rows.push(here.row as u64);
            }
            return false;
        }
        match gap.quarter() == 0.0 {
            true if here.weight == 1.0 => self.ones_won += 1,
            true => scan.won.add(here.weight),
            false => {}
        }
        if self.ones == u32::MAX {
            self.add_ones();
        }
        true
    }

    fn add_ones(&mut self) {
        self.scan.weight.add_ones(self.ones);
        self.scan.weight_squared.add_ones(self.ones);
        self.scan.won.add_ones(self.ones_won);
        (self.ones, self.ones_won) = (0, 0);
    }
}

impl Scan {
    /// A row's part of the sums at a temperature.
    fn add_at(&mut self, node: usize, depth: Depth, weight: f64, of_row: &OfRow) {
        let at = &mut self.sums[node];
        let slope = weight * of_row.slope;
        if depth != Depth::Draft {
            at.loss.add(weight * of_row.loss);
        }
        if depth != Depth::Loss {
            at.slope.add(slope);
            at.variance.add(weight * of_row.variance);
            at.third.add(weight * of_row.third);
        }
        if matches!(depth, Depth::Draft | Depth::Deep) {
            at.fourth.add(weight * of_row.fourth);
        }
        if matches!(depth, Depth::Full | Depth::Deep) {
            at.slope_squared.add(slope * slope);
        }
        if depth == Depth::Deep {
            at.fifth.add(weight * of_row.fifth);
            at.sixth.add(weight * of_row.sixth);
            let (variance, third) = (weight * of_row.variance, weight * of_row.third);
            at.slope_variance.add(slope * variance);
            at.slope_third.add(variance.mul_add(variance, slope * third));
        }
    }
}

/// [`Sums::add`] and [`Group::add_to`] as kernels: each is called from several places, and large.
struct AddOne<'c, 'a, T: Element> {
    sums: &'c mut Sums<T::Real>,
    here: Place,
    logits: &'c [T::Real],
    truth: &'c Truth<'a, T>,
    ahead: usize,
}

impl<T: Element> Kernel for AddOne<'_, '_, T> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let AddOne { sums, here, logits, truth, ahead } = self;
        sums.add_inlined(simd, here, logits, truth, ahead)
    }
}

struct AddGroup<'c, 'a, 't, T: Element> {
    group: &'c mut Group<'a, T>,
    sums: &'c mut Sums<T::Real>,
    truth: &'c Truth<'t, T>,
}

impl<T: Element> Kernel for AddGroup<'_, '_, '_, T> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let AddGroup { group, sums, truth } = self;
        group.add_inlined(sums, simd, truth)
    }
}

/// Rows that wait until there are sixteen.
struct Group<'a, T: Element> {
    together: Together<T::Real>,
    rows: Vec<(Place, &'a [T])>,
    /// Where the rows' type is not what they are computed in, row after row.
    converted: Vec<T::Real>,
    classes: usize,
}

impl<'a, T: Element> Group<'a, T> {
    fn new(classes: usize) -> Self {
        Group {
            together: Together::new(classes),
            rows: Vec::with_capacity(ROWS),
            converted: vec![T::Real::ZERO; ROWS * classes],
            classes,
        }
    }

    fn is_full(&self) -> bool {
        self.rows.len() == ROWS
    }

    /// Adds those that wait. Lanes without a row have one of zeros or an earlier one, which goes nowhere.
    #[inline(always)]
    fn add_to<S: Simd>(
        &mut self,
        sums: &mut Sums<T::Real>,
        simd: S,
        truth: &Truth<T>,
    ) -> Result<(), Error> {
        simd.call(AddGroup { group: self, sums, truth })
    }

    #[inline(always)]
    fn add_inlined<S: Simd>(
        &mut self,
        sums: &mut Sums<T::Real>,
        simd: S,
        truth: &Truth<T>,
    ) -> Result<(), Error> {
        let Group { together, rows: waiting, converted, classes } = self;
        for ((_, logits), room) in waiting.iter().zip(converted.chunks_exact_mut(*classes)) {
            if T::as_real(logits).is_none() {
                T::read(logits, room);
            }
        }
        let rows: [&[T::Real]; ROWS] = std::array::from_fn(|i| {
            let as_it_is = waiting.get(i).and_then(|(_, logits)| T::as_real(logits));
            as_it_is.unwrap_or(&converted[i * *classes..(i + 1) * *classes])
        });
        let places = || waiting.iter().map(|&(place, _)| place).enumerate();
        let maxima = together.fill(simd, &rows);
        let mut gaps = [Gap::of_quarter(0.0); ROWS];
        let mut admitted = [false; ROWS];
        for (i, here) in places() {
            let max = maxima[i];
            if !(max > T::Real::NEG_INFINITY && max < -T::Real::NEG_INFINITY) {
                // Refused, with its reason.
                sums.add(simd, here, rows[i], truth, 0)?;
                continue;
            }
            let gap = truth.gap(here.local, rows[i], max);
            let reason = || Error::Row { row: here.row, reason: NO_DISTRIBUTION };
            gaps[i] = gap.ok_or_else(reason)?;
            admitted[i] = sums.admit(here, gaps[i]);
        }
        if sums.scan.wants_survey() {
            let depths = together.mean_depths(simd);
            for (i, here) in places().filter(|&(i, _)| admitted[i]) {
                sums.scan.survey.add(here.weight, gaps[i], depths[i]);
            }
        }
        if sums.wants_f64() {
            together.widen(simd);
        }
        let mut answers = [OfRow::default(); ROWS];
        for k in 0..sums.nodes.len() {
            let (node, depth) = (&sums.nodes[k], sums.depths[k]);
            let (draft, precise) = (&node.draft, &node.precise);
            let answered = together.of_rows(simd, &gaps, draft, precise, depth, &mut answers);
            for (i, here) in places().filter(|&(i, _)| admitted[i]) {
                if !answered {
                    let row = Row { logits: rows[i], max: maxima[i], gap: gaps[i], ahead: 0 };
                    answers[i] = of_row(simd, &row, node, depth, &mut sums.space);
                }
                sums.scan.add_at(k, depth, here.weight, &answers[i]);
            }
        }
        waiting.clear();
        Ok(())
    }
}

const NO_DISTRIBUTION: &str = "its label is not a distribution: entries from 0 up with the sum 1";

impl<T: Element> Truth<'_, T> {
    fn is_ignored(&self, row: usize) -> bool {
        match self {
            Truth::Labels(labels) => labels.of_row(row).is_none(),
            Truth::Distributions(_) => false,
        }
    }

    /// How far the true logit lies below the maximum; `None` where the label is no distribution.
    fn gap(&self, row: usize, logits: &[T::Real], max: T::Real) -> Option<Gap> {
        let logit = |class: usize| logits[class].to_f64();
        match self {
            Truth::Labels(labels) => {
                labels.of_row(row).map(|class| Gap::between(max.to_f64(), logit(class)))
            }
            Truth::Distributions(rows) => {
                let classes = rows.classes();
                let shares = &rows.as_slice()[row * classes..(row + 1) * classes];
                let shares = || shares.iter().map(|share| share.to_f64());
                let sum: f64 = shares().sum();
                let sound = shares().all(|share| share >= 0.0) && (sum - 1.0).abs() < SUM_TOLERANCE;
                sound.then(|| {
                    Gap::mean(max.to_f64(), shares().zip(logits.iter().map(|x| x.to_f64())))
                })
            }
        }
    }
}
