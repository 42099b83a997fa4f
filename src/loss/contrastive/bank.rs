//! Instance discrimination: every image is a class of its own, and a bank holds the last vector of each.
//!
//! ```text
//! softmax   −ln( exp(v_i·v/τ) / Σ_j exp(v_j·v/τ) )              over the whole bank: two products
//! nce       P(j|v) = exp(v_j·v/τ)/Z      h = P/(P + m/n)        n entries, m of them drawn as noise
//!           −ln h(i) − Σ_{j drawn} ln(1 − h(j)) = softplus(−x_i) + Σ_j softplus(x_j),   x_j = v_j·v/τ − ln(Z·m/n)
//! update    v_i ← (μ·v_i + (1 − μ)·v)/|…|
//! ```
//!
//! The entries drawn for a row are gathered, so that its similarities are a product of matrices, which `sig_lip.rs`
//! makes into a loss: the estimate is SigLIP's with a bias that is not learnt.

use crate::compiled::Runs;
use crate::element::{Element, Real, private::Element as _};
use crate::error::Error;
use crate::interrupt::heed;
use crate::loss::contrastive::classes::labels_of;
use crate::loss::contrastive::pairs::VectorsLoss;
use crate::loss::contrastive::sig_lip::{Pairs, Sigmoids, one_pair};
use crate::loss::contrastive::sweep::{COLUMNS, Sweep, add};
use crate::loss::contrastive::vectors::{Prepared, Vectors, same_width};
use crate::loss::contrastive::{
    ContrastiveOptions, Denominator, Row, denominator_of, reduced, whole,
};
use crate::loss::weigh::{Factor, LANES, LogSum, Weigh, above_zero};
use crate::parallel;
use crate::random::{Purpose, Random};
use crate::rows::{Labels, Rows};
use crate::simd::gemm::{Matrix, multiply};
use crate::temperature::Temperature;

/// The memory bank of instance discrimination: one unit vector for each of n images, which are the classes.
///
/// A step is a loss, [`nce`](MemoryBank::nce) or [`softmax`](MemoryBank::softmax), and then an
/// [`update`](MemoryBank::update) with the same vectors.
///
/// # Example
/// ```
/// use softargmax::{ContrastiveOptions, Labels, MemoryBank, Rows};
///
/// let mut bank = MemoryBank::<f32>::new(1000, 16, 1)?;
/// let vectors: Vec<f32> = (0..3 * 16).map(|i| (i % 7) as f32 - 3.0).collect();
/// let (vectors, images) = (Rows::new(&vectors, 16)?, Labels::new(&[17, 3, 999], 1000)?);
/// let (tau, options) = ("0.07".parse()?, ContrastiveOptions::default());
/// let loss = bank.nce(vectors, images, tau, 64, &options)?;
/// assert_eq!(loss.vectors.len(), 3 * 16);
/// assert!(bank.log_z().is_some()); // from now on it stays
/// bank.update(vectors, images, 0.5)?;
/// assert!(bank.softmax(vectors, images, tau, &options)?.value() < loss.value());
/// # Ok::<(), softargmax::Error>(())
/// ```
///
/// # Source
/// Wu, Xiong, Yu & Lin 2018, "Unsupervised feature learning via non-parametric instance discrimination", section 3.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryBank<T> {
    data: Vec<T>,
    width: usize,
    seed: u64,
    /// Batches for which noise was drawn.
    batches: u64,
    log_z: Option<f64>,
}

impl<T: Element> MemoryBank<T> {
    /// A bank of `entries` vectors of `width` numbers, each drawn uniformly from the sphere. The seed decides them, and the
    /// noise drawn later.
    ///
    /// # Errors
    /// [`Error::NoClasses`] when there are no entries, or `width` is 0.
    pub fn new(entries: usize, width: usize, seed: u64) -> Result<Self, Error> {
        if entries == 0 || width == 0 {
            return Err(Error::NoClasses);
        }
        let mut data = Vec::with_capacity(entries.saturating_mul(width));
        let mut vector = vec![0.0; width];
        for entry in 0..entries {
            let mut random = Random::new(seed, Purpose::BankEntries, entry as u64);
            let mut square = 0.0;
            // In one dimension a draw can be 0, once in 2^53.
            while square == 0.0 {
                vector.fill_with(|| random.normal());
                square = vector.iter().map(|x| x * x).sum::<f64>();
            }
            data.extend(vector.iter().map(|x| T::of_f64(x / square.sqrt())));
        }
        Ok(MemoryBank { data, width, seed, batches: 0, log_z: None })
    }

    /// A bank that begins with given vectors, which are normalised; the seed decides the noise.
    ///
    /// # Errors
    /// [`Error::NoClasses`] for no vectors, [`Error::Row`] for one that has no direction.
    pub fn from_vectors(vectors: Rows<'_, T>, seed: u64) -> Result<Self, Error> {
        if vectors.rows() == 0 {
            return Err(Error::NoClasses);
        }
        let prepared = Prepared::new(vectors, Vectors::Normalise)?;
        let mut data = vec![T::of_f64(0.0); prepared.data.len()];
        T::write(&prepared.data, &mut data);
        Ok(MemoryBank { data, width: prepared.width, seed, batches: 0, log_z: None })
    }

    /// How many entries there are; never none.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.data.len() / self.width
    }

    /// The entries, `[n, width]`.
    pub fn entries(&self) -> Rows<'_, T> {
        Rows::new(&self.data, self.width).expect("whole entries of a width above 0")
    }

    /// ln Z, the constant that makes [`nce`](MemoryBank::nce)'s exp(s/τ) probabilities; none before it is estimated or
    /// set.
    pub fn log_z(&self) -> Option<f64> {
        self.log_z
    }

    /// Sets ln Z; with `None` the next batch estimates it anew.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is not finite.
    pub fn set_log_z(&mut self, log_z: Option<f64>) -> Result<(), Error> {
        if let Some(got) = log_z.filter(|z| !z.is_finite()) {
            return Err(Error::Parameter { what: "ln Z", got, allowed: "finite" });
        }
        self.log_z = log_z;
        Ok(())
    }

    /// The noise-contrastive estimate: each vector is to be told from `noise` entries, drawn for it uniformly and with
    /// replacement from all of the bank, its own among them: `−ln h(i) − Σ_j ln(1 − h(j))`, h = P/(P + m·1/n),
    /// P(j) = exp(v_j·v/τ)/Z. The mean is over the vectors.
    ///
    /// The first batch estimates Z as n times the mean of exp(s/τ) over all its noise, and Z stays; it is a constant for
    /// the gradients. (The authors' code has the positive in that mean as well, one of m + 1.) The bank, which gets no
    /// gradient, changes only by that and by how many batches it has drawn for: each has noise of its own.
    ///
    /// # Shapes
    /// `vectors` is `[rows, width]`; `images` says which entry each one's own is, of as many classes as the bank has
    /// entries.
    ///
    /// # Accuracy
    /// As [`sig_lip`](crate::sig_lip), with bias = −ln(Z·m/n). The same bits for any number of threads.
    ///
    /// # Special values
    /// A vector whose label is ignored has a loss of 0, and draws no noise. At τ = ∞ all h are the same.
    ///
    /// # Errors
    /// As [`info_nce`](crate::info_nce) for vectors and temperature, [`Error::Shape`] for labels that are not one per
    /// vector or of other classes than entries, [`Error::Parameter`] for no noise and for
    /// [`Denominator::NegativesOnly`]: there is no denominator. The bank is then as before.
    ///
    /// # Source
    /// Wu et al. 2018, eq. 4 to 8 (τ = 0.07, m = 4096). There eq. 7 weighs the noise's mean by m, which is this sum.
    pub fn nce(
        &mut self,
        vectors: Rows<'_, T>,
        images: Labels<'_>,
        tau: Temperature,
        noise: usize,
        options: &ContrastiveOptions,
    ) -> Result<VectorsLoss<T>, Error> {
        let (vectors, anchors) = self.checked(vectors, images, tau, options)?;
        if noise == 0 {
            return Err(Error::Parameter { what: "noise", got: 0.0, allowed: "at least 1 entry" });
        }
        if options.denominator == Denominator::NegativesOnly {
            let what = "positives left out of the denominator:";
            return Err(Error::Parameter { what, got: 1.0, allowed: "0 in a loss without one" });
        }
        let whole = whole(options.reduction, anchors)?;
        let factor = Factor::<T::Real>::new(tau);
        let (scale, n) = (factor.scale, self.len() as f64);
        let drawn = Drawn { bank: self, vectors: &vectors, images, noise };
        let log_z = match self.log_z {
            Some(log_z) => log_z,
            None => drawn.log_z(&factor, anchors),
        };
        let log_ratio = log_z + libm::log(noise as f64) - libm::log(n);
        let bias = if anchors > 0 { -log_ratio } else { 0.0 };
        if !T::Real::of_f64(bias).to_f64().is_finite() {
            let allowed = "finite, in the type of the vectors too";
            return Err(Error::Parameter { what: "ln Z", got: log_z, allowed });
        }
        let unit = Factor::<T::Real>::new(Temperature::ONE);
        let mut rows = vec![(0.0, 0.0); vectors.rows];
        let mut gradient = vec![T::of_f64(0.0); vectors.data.len()];
        drawn.each(&mut rows, &mut gradient, &|row, entry, space, (loss, of_tau), out| {
            let mut pairs = Pairs::default();
            let mut sum = vec![0.0; vectors.width];
            drawn.tiles(row, space, &mut |space, count| {
                let chunks = &mut space.tile.as_chunks_mut::<LANES>().0[..count.div_ceil(LANES)];
                pairs.add(T::Real::run(Sigmoids { row: chunks, scale, bias, unit: &unit }));
                let weights = Matrix::new(&space.tile, 1, count, COLUMNS);
                let gathered = Matrix::new(&space.gathered, count, vectors.width, vectors.width);
                multiply(weights, gathered, &mut space.product, vectors.width);
                add(&mut sum, &space.product, 1.0);
            });
            let own = drawn.entry(entry);
            let s = own.iter().zip(vectors.row(row)).map(|(a, b)| a * b.to_f64()).sum::<f64>();
            let (softplus, sigmoid) = one_pair(-(scale * s + bias));
            *loss = whole * (pairs.loss + softplus);
            *of_tau = -scale * (scale * whole * (pairs.pull - sigmoid * s));
            for (sum, v) in sum.iter_mut().zip(own) {
                *sum = whole * scale * (*sum - sigmoid * v);
            }
            vectors.write_gradient(row, &sum, out);
        });
        if anchors > 0 {
            self.log_z = Some(log_z);
        }
        self.batches += 1;
        Ok(VectorsLoss {
            values: reduced(rows.iter().map(|row| row.0).collect(), options.reduction),
            tau: rows.iter().map(|row| row.1).collect(),
            vectors: gradient,
            anchors,
        })
    }

    /// The non-parametric softmax over the whole bank: `−ln( exp(v_i·v/τ)/Σ_j exp(v_j·v/τ) )`, with the gradients in the
    /// vectors and τ; the bank gets none.
    ///
    /// Two products of matrices, in one pass over the bank.
    ///
    /// # Shapes
    /// As [`nce`](MemoryBank::nce).
    ///
    /// # Accuracy, special values
    /// As [`moco`](crate::moco), with the other n − 1 entries as negatives. A vector whose label is ignored has a loss of
    /// 0.
    ///
    /// # Errors
    /// As [`info_nce`](crate::info_nce), and [`Error::Shape`] as [`nce`](MemoryBank::nce).
    ///
    /// # Source
    /// Wu et al. 2018, eq. 2 and 3.
    pub fn softmax(
        &self,
        vectors: Rows<'_, T>,
        images: Labels<'_>,
        tau: Temperature,
        options: &ContrastiveOptions,
    ) -> Result<VectorsLoss<T>, Error> {
        let (vectors, anchors) = self.checked(vectors, images, tau, options)?;
        denominator_of(self.len() - 1, options.denominator)?;
        let whole = whole(options.reduction, anchors)?;
        let factor = Factor::<T::Real>::new(tau);
        let scale = factor.scale;
        let bank = Prepared::kept(self.entries());
        let without = |row| [images.of_row(row), None];
        let sweep = Sweep { rows: &vectors, columns: &bank, factor: &factor, without: &without };
        let of_row = |row: usize, sum: &LogSum| match images.of_row(row) {
            Some(own) => {
                let positive = vectors.dot(row, &bank, own);
                Row::new(sum, positive, &factor, options.denominator, whole)
            }
            None => Row::NOTHING,
        };
        let mut gradient = vec![T::of_f64(0.0); vectors.data.len()];
        let sums = sweep.sums_and_means(&mut gradient, &|row, sum, mean, out| {
            let Some(own) = images.of_row(row) else { return };
            let Row { pull, push, .. } = of_row(row, &sum);
            for (mean, v) in mean.iter_mut().zip(bank.row(own)) {
                *mean = scale * (pull * *mean - push * v.to_f64());
            }
            vectors.write_gradient(row, mean, out);
        });
        let rows: Vec<Row> = sums.iter().enumerate().map(|(row, sum)| of_row(row, sum)).collect();
        Ok(VectorsLoss {
            values: reduced(rows.iter().map(|row| row.loss).collect(), options.reduction),
            tau: rows.iter().map(|row| row.tau).collect(),
            vectors: gradient,
            anchors,
        })
    }

    /// Moves the entries of some images: `v_i ← (μ·v_i + (1 − μ)·v)/|μ·v_i + (1 − μ)·v|`, v normalised, computed in f64
    /// and rounded once. An image that is there twice moves twice, in order.
    ///
    /// # Special values
    /// At μ = 1 nothing moves (but for a rounding of lengths), at μ = 0 entries are replaced. Ignored labels are passed over.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Row`] as [`nce`](MemoryBank::nce), the latter also where a vector and its entry
    /// cancel; [`Error::Parameter`] for a momentum that is not from 0 to 1. The bank is then as before.
    ///
    /// # Source
    /// Wu et al. 2018, section 3.2 and the authors' code (μ = 0.5).
    pub fn update(
        &mut self,
        vectors: Rows<'_, T>,
        images: Labels<'_>,
        momentum: f64,
    ) -> Result<(), Error> {
        same_width("a vector", self.entries(), vectors)?;
        labels_of(images, vectors.rows(), self.len())?;
        if !(0.0..=1.0).contains(&momentum) {
            return Err(Error::Parameter {
                what: "momentum",
                got: momentum,
                allowed: "from 0 to 1",
            });
        }
        let vectors = Prepared::new(vectors, Vectors::Normalise)?;
        let mut moved: Vec<(usize, Vec<T>)> = Vec::new();
        for (row, image) in images.iter().enumerate() {
            let Some(image) = image else { continue };
            let range = image * self.width..(image + 1) * self.width;
            let both = self.data[range.clone()].iter().zip(vectors.row(row));
            let sum: Vec<f64> = both
                .map(|(old, new)| momentum * old.to_f64() + (1.0 - momentum) * new.to_f64())
                .collect();
            let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
            if !(length > 0.0) {
                for (image, old) in moved.into_iter().rev() {
                    self.data[image * self.width..][..self.width].copy_from_slice(&old);
                }
                let reason = "it cancels with its entry, and leaves no direction";
                return Err(Error::Row { row, reason });
            }
            moved.push((image, self.data[range.clone()].to_vec()));
            for (to, x) in self.data[range].iter_mut().zip(sum) {
                *to = T::of_f64(x / length);
            }
        }
        Ok(())
    }

    /// What all losses ask of their arguments; the vectors, and how many count.
    fn checked<'a>(
        &self,
        vectors: Rows<'a, T>,
        images: Labels<'_>,
        tau: Temperature,
        options: &ContrastiveOptions,
    ) -> Result<(Prepared<'a, T::Real>, usize), Error> {
        above_zero::<T::Real>(tau)?;
        same_width("a vector", self.entries(), vectors)?;
        labels_of(images, vectors.rows(), self.len())?;
        Ok((Prepared::new(vectors, options.vectors)?, images.iter().flatten().count()))
    }
}

/// The noise of a batch.
#[derive(Clone, Copy)]
struct Drawn<'a, T: Element> {
    bank: &'a MemoryBank<T>,
    vectors: &'a Prepared<'a, T::Real>,
    images: Labels<'a>,
    noise: usize,
}

/// What a thread works in.
struct Space<R> {
    gathered: Vec<R>,
    tile: Vec<R>,
    product: Vec<R>,
}

impl<T: Element> Drawn<'_, T> {
    /// An entry, in f64.
    fn entry(&self, entry: usize) -> Vec<f64> {
        let width = self.bank.width;
        self.bank.data[entry * width..(entry + 1) * width].iter().map(|x| x.to_f64()).collect()
    }

    /// `with(space, entries)` for each tile of the noise of a row: its entries are gathered, and their similarities in
    /// the tile, filled up with −∞.
    fn tiles(
        &self,
        row: usize,
        space: &mut Space<T::Real>,
        with: &mut dyn FnMut(&mut Space<T::Real>, usize),
    ) {
        let (width, n) = (self.bank.width, self.bank.len() as u64);
        let stream = self.bank.batches << 32 | row as u64;
        let mut random = Random::new(self.bank.seed, Purpose::Noise, stream);
        for at in (0..self.noise).step_by(COLUMNS) {
            heed();
            let count = COLUMNS.min(self.noise - at);
            for gathered in space.gathered.chunks_exact_mut(width).take(count) {
                let entry = random.below(n) as usize;
                T::read(&self.bank.data[entry * width..(entry + 1) * width], gathered);
            }
            let gathered = Matrix::new(&space.gathered, count, width, width);
            let vector = Matrix::new(self.vectors.row(row), 1, width, width);
            multiply(vector, gathered.transposed(), &mut space.tile, COLUMNS);
            space.tile[count..].fill(T::Real::NEG_INFINITY);
            with(space, count);
        }
    }

    /// `with(row, its entry, space, its part of a, its part of out)` for each row that counts, over threads.
    fn each<A: Send>(
        &self,
        a: &mut [A],
        out: &mut [T],
        with: &(impl Fn(usize, usize, &mut Space<T::Real>, &mut A, &mut [T]) + Sync),
    ) {
        self.split(0, a, out, with);
    }

    fn split<A: Send>(
        &self,
        first: usize,
        a: &mut [A],
        out: &mut [T],
        with: &(impl Fn(usize, usize, &mut Space<T::Real>, &mut A, &mut [T]) + Sync),
    ) {
        let width = self.bank.width;
        if a.len() > 8 && parallel::threads() > 1 {
            let middle = a.len() / 2;
            let (a, a_right) = a.split_at_mut(middle);
            let (out, out_right) = out.split_at_mut(middle * width);
            parallel::join(
                || self.split(first, a, out, with),
                || self.split(first + middle, a_right, out_right, with),
            );
            return;
        }
        let zero = T::Real::ZERO;
        let mut space = Space {
            gathered: vec![zero; COLUMNS.min(self.noise) * width],
            tile: vec![zero; COLUMNS],
            product: vec![zero; width],
        };
        for (i, (a, out)) in a.iter_mut().zip(out.chunks_exact_mut(width)).enumerate() {
            if let Some(entry) = self.images.of_row(first + i) {
                with(first + i, entry, &mut space, a, out);
            }
        }
    }

    /// ln of n times the mean of exp(s/τ) over the noise of all rows.
    fn log_z(&self, factor: &Factor<T::Real>, anchors: usize) -> f64 {
        let mut sums = vec![LogSum::EMPTY; self.vectors.rows];
        let mut nothing = vec![T::of_f64(0.0); self.vectors.data.len()];
        self.each(&mut sums, &mut nothing, &|row, _, space, sum, _| {
            self.tiles(row, space, &mut |space, _| {
                let row = space.tile.as_chunks_mut::<LANES>().0;
                sum.add(T::Real::run(Weigh::<_, false> { row, factor }), factor.scale);
            });
        });
        let mut all = LogSum::EMPTY;
        sums.iter().for_each(|&sum| {
            all.add(sum, factor.scale);
        });
        let drawn = anchors as f64 * self.noise as f64;
        factor.scale * all.max + libm::log(all.sum / drawn * self.bank.len() as f64)
    }
}
