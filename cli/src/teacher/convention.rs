//! The ways in which stored top-K teachers are used, each as the loss and the gradient of one row.
//!
//! ```text
//! p, q teacher and student at T, h the classes that are kept, t = Σ_others p at T = 1, n how many others
//! bucket                 Σ_h p ln(p/q) + P ln(P/Q)          P, Q the mass of the others
//! renormalised           p/Σ_h p against q                  (log-probabilities of T = 1 over T, renormalised, are the same)
//! renormalised-both      p/Σ_h p against q/Σ_h q
//! truncated-sum          Σ_h p ln(p/q)                      no divergence: it may be negative
//! tail-of-one            others t^(1/T) beside p_1^(1/T) of the head, over the sum, spread evenly
//! tail-even              others n (t/n)^(1/T): as if they were all alike
//! probabilities-of-one   bucket with p at T = 1
//! no-t-squared           Σ p ln(p/q), without T²
//! ```
//!
//! Each pulls with T(q̃ Σt̃ − t̃), where t̃ is what it takes for the teacher and q̃ what it takes for the student.

/// One way to use the K classes that were kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Convention {
    Bucket,
    Renormalised,
    RenormalisedBoth,
    TruncatedSum,
    TailOfOne,
    TailEven,
    ProbabilitiesOfOne,
    NoTSquared,
}

impl Convention {
    pub(crate) const ALL: [Convention; 8] = [
        Convention::Bucket,
        Convention::Renormalised,
        Convention::RenormalisedBoth,
        Convention::TruncatedSum,
        Convention::TailOfOne,
        Convention::TailEven,
        Convention::ProbabilitiesOfOne,
        Convention::NoTSquared,
    ];

    /// Its name in documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Convention::Bucket => "bucket",
            Convention::Renormalised => "renormalised",
            Convention::RenormalisedBoth => "renormalised-both",
            Convention::TruncatedSum => "truncated-sum",
            Convention::TailOfOne => "tail-of-one",
            Convention::TailEven => "tail-even",
            Convention::ProbabilitiesOfOne => "probabilities-of-one",
            Convention::NoTSquared => "no-t-squared",
        }
    }

    /// What it does, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Convention::Bucket => "the others as one class, their mass at T stored",
            Convention::Renormalised => "renormalised over the K",
            Convention::RenormalisedBoth => "renormalised over the K, the student too",
            Convention::TruncatedSum => "the sum over the K alone",
            Convention::TailOfOne => "the others' mass at T = 1, tempered as one class",
            Convention::TailEven => "the others' mass at T = 1, tempered as if all alike",
            Convention::ProbabilitiesOfOne => "probabilities of T = 1, T for the student only",
            Convention::NoTSquared => "T² forgotten, every class known",
        }
    }
}

/// A row in logarithms of probabilities. Where all others are one entry, it is the last.
pub(super) struct Row<'a> {
    pub(super) tau: f64,
    /// Teacher at T, and at T = 1 where that is known.
    pub(super) p: &'a [f64],
    pub(super) one: Option<&'a [f64]>,
    /// Student at T.
    pub(super) q: &'a [f64],
    pub(super) is_head: &'a [bool],
    /// How many classes the others are, masked ones left out.
    pub(super) others: f64,
    /// How many entries they have here.
    pub(super) entries: f64,
}

/// What a row's loss is by a convention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) loss: f64,
    /// Σ |gradient − the true one|.
    pub(super) gradient_error: f64,
    /// What the target gives to the others.
    pub(super) tail: f64,
}

/// What the student's side of the loss is made of.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    All,
    Head,
    /// The others as one, with this logarithm of the teacher's mass.
    Bucket(f64),
}

impl Row<'_> {
    /// T²·KL(teacher ‖ student) over all entries, and Σ |its gradient|.
    pub(super) fn truth(&self) -> (f64, f64) {
        let loss: f64 = (0..self.p.len()).map(|i| term(self.p[i], self.q[i])).sum();
        let gradient: f64 =
            (0..self.p.len()).map(|i| (libm::exp(self.q[i]) - libm::exp(self.p[i])).abs()).sum();
        (self.tau * self.tau * loss, self.tau * gradient)
    }

    /// `None` where it needs p at T = 1, which is not known.
    pub(super) fn outcome(&self, convention: Convention) -> Option<Outcome> {
        let nothing = f64::NEG_INFINITY;
        let head = |of: &[f64]| self.log_sum(of, true);
        let none = |_: usize| nothing;
        Some(match convention {
            Convention::Bucket => {
                self.made_of(|i| self.p[i], none, Over::Bucket(self.log_sum(self.p, false)))
            }
            Convention::Renormalised | Convention::RenormalisedBoth => {
                let all = head(self.p);
                let both = convention == Convention::RenormalisedBoth;
                self.made_of(|i| self.p[i] - all, none, if both { Over::Head } else { Over::All })
            }
            Convention::TruncatedSum => self.made_of(|i| self.p[i], none, Over::All),
            Convention::TailOfOne | Convention::TailEven => {
                let one = self.one?;
                let (t, others) = (self.log_sum(one, false), libm::log(self.others.max(1.0)));
                let mass = match convention {
                    Convention::TailOfOne => t / self.tau,
                    _ => others + (t - others) / self.tau,
                };
                let tempered: Vec<f64> = one.iter().map(|l| l / self.tau).collect();
                let all = log_add(head(&tempered), mass);
                let each = mass - all - libm::log(self.entries.max(1.0));
                let even = |i: usize| if self.p[i] == nothing { nothing } else { each };
                self.made_of(|i| tempered[i] - all, even, Over::All)
            }
            Convention::ProbabilitiesOfOne => {
                let one = self.one?;
                self.made_of(|i| one[i], none, Over::Bucket(self.log_sum(one, false)))
            }
            Convention::NoTSquared => {
                let (loss, gradient) = self.truth();
                let square = self.tau * self.tau;
                Outcome {
                    loss: loss / square,
                    gradient_error: gradient * (1.0 - 1.0 / square).abs(),
                    tail: libm::exp(self.log_sum(self.p, false)),
                }
            }
        })
    }

    /// The loss against a target, in logarithms: of the head, and of the others entry by entry.
    fn made_of(
        &self,
        of_head: impl Fn(usize) -> f64,
        of_tail: impl Fn(usize) -> f64,
        over: Over,
    ) -> Outcome {
        let target = |i: usize| if self.is_head[i] { of_head(i) } else { of_tail(i) };
        let (of_student, rest) = (self.log_sum(self.q, true), self.log_sum(self.q, false));
        let student = |i: usize| match over {
            Over::Head if self.is_head[i] => self.q[i] - of_student,
            Over::Head => f64::NEG_INFINITY,
            _ => self.q[i],
        };
        let entries = 0..self.p.len();
        let mut loss: f64 = entries.clone().map(|i| term(target(i), student(i))).sum();
        let mut total: f64 = entries.clone().map(|i| libm::exp(target(i))).sum();
        let mut tail: f64 =
            entries.clone().filter(|i| !self.is_head[*i]).map(|i| libm::exp(target(i))).sum();
        if let Over::Bucket(mass) = over {
            loss += term(mass, rest);
            (total, tail) = (total + libm::exp(mass), libm::exp(mass));
        }
        let pull = |i: usize| match over {
            // The mass of the others, shared as the student shares it.
            Over::Bucket(mass) if !self.is_head[i] && self.q[i] > f64::NEG_INFINITY => {
                libm::exp(self.q[i]) * total - libm::exp(mass + self.q[i] - rest)
            }
            _ => libm::exp(student(i)) * total - libm::exp(target(i)),
        };
        let true_pull = |i: usize| libm::exp(self.q[i]) - libm::exp(self.p[i]);
        let gradient_error: f64 = entries.map(|i| (pull(i) - true_pull(i)).abs()).sum();
        Outcome {
            loss: self.tau * self.tau * loss,
            gradient_error: self.tau * gradient_error,
            tail,
        }
    }

    /// ln Σ exp over the head or over the others.
    fn log_sum(&self, of: &[f64], of_head: bool) -> f64 {
        let entries = of.iter().zip(self.is_head).filter(|(_, is_head)| **is_head == of_head);
        let entries = entries.map(|(l, _)| *l);
        let top = entries.clone().fold(f64::NEG_INFINITY, f64::max);
        if top == f64::NEG_INFINITY {
            return top;
        }
        top + libm::log(entries.map(|l| libm::exp(l - top)).sum())
    }
}

/// t ln(t/q), from logarithms; 0 where t is.
fn term(t: f64, q: f64) -> f64 {
    if t == f64::NEG_INFINITY { 0.0 } else { libm::exp(t) * (t - q) }
}

fn log_add(a: f64, b: f64) -> f64 {
    let (top, less) = (a.max(b), a.min(b));
    if top == f64::NEG_INFINITY { top } else { top + libm::log1p(libm::exp(less - top)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use softargmax::{Temperature, log_softmax};

    const K: [bool; 6] = [true, true, false, false, false, false];

    /// The outcomes for a teacher of two classes kept and four alike.
    fn outcomes(teacher: &[f64; 6], student: &[f64; 6], tau: f64) -> Vec<(Convention, Outcome)> {
        let at = |x: &[f64], tau| log_softmax(x, Temperature::new(tau).expect("τ")).expect("a row");
        let (p, one, q) = (at(teacher, tau), at(teacher, 1.0), at(student, tau));
        let (one, is_head) = (Some(&one[..]), &K[..]);
        let row = Row { tau, p: &p, one, q: &q, is_head, others: 4.0, entries: 4.0 };
        let of = |convention| (convention, row.outcome(convention).expect("known"));
        Convention::ALL.map(of).to_vec()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-13 * b.abs().max(1.0)
    }

    /// Others that are alike, on both sides: there the bucket and the even tail have everything right.
    #[test]
    fn what_is_right_is_right_and_the_rest_is_off_by_what_it_forgets() {
        let (teacher, student) = ([3.0, 2.0, 0.0, 0.0, 0.0, 0.0], [1.0, 4.0, 2.0, 2.0, 2.0, 2.0]);
        let tau = 4.0;
        let at = |x: &[f64]| log_softmax(x, Temperature::new(tau).expect("τ")).expect("a row");
        let (p, q) = (at(&teacher), at(&student));
        let truth: f64 = (0..6).map(|i| p[i].exp() * (p[i] - q[i])).sum::<f64>() * tau * tau;
        let others: f64 = p[2..].iter().map(|l| l.exp()).sum();
        for (convention, got) in outcomes(&teacher, &student, tau) {
            match convention {
                Convention::Bucket | Convention::TailEven => {
                    assert!(near(got.loss, truth) && got.gradient_error < 1e-14, "{got:?}");
                    assert!(near(got.tail, others));
                }
                Convention::Renormalised => {
                    let head = 1.0 - others;
                    let want: f64 =
                        (0..2).map(|i| p[i].exp() / head * (p[i] - head.ln() - q[i])).sum();
                    assert!(near(got.loss, tau * tau * want) && got.tail == 0.0, "{got:?}");
                    // What the others have goes to the head: twice that, times T.
                    assert!(near(got.gradient_error, tau * 2.0 * others), "{got:?}");
                }
                Convention::TruncatedSum => {
                    let want: f64 = (0..2).map(|i| p[i].exp() * (p[i] - q[i])).sum();
                    assert!(near(got.loss, tau * tau * want), "{got:?}");
                    let want: f64 = (0..6)
                        .map(|i| {
                            let target = if i < 2 { p[i].exp() } else { 0.0 };
                            ((q[i].exp() * (1.0 - others) - target) - (q[i].exp() - p[i].exp()))
                                .abs()
                        })
                        .sum();
                    assert!(near(got.gradient_error, tau * want), "{got:?}");
                }
                Convention::NoTSquared => assert!(near(got.loss, truth / 16.0), "{got:?}"),
                Convention::TailOfOne => {
                    // e^(1/4 ln 4) = 4^(1/4) in place of 4, beside e^(3/4) and e^(1/2).
                    let head = 0.75f64.exp() + 0.5f64.exp();
                    let tail = 4f64.powf(0.25);
                    assert!(near(got.tail, tail / (head + tail)), "{got:?}");
                }
                Convention::ProbabilitiesOfOne => {
                    let one = 4.0 / (3f64.exp() + 2f64.exp() + 4.0);
                    assert!(near(got.tail, one), "{got:?}");
                }
                Convention::RenormalisedBoth => {
                    let d = |x: f64, y: f64| 1.0 / (1.0 + ((y - x) / tau).exp());
                    let (a, b) = (d(3.0, 2.0), d(1.0, 4.0));
                    let want = a * (a / b).ln() + (1.0 - a) * ((1.0 - a) / (1.0 - b)).ln();
                    assert!(near(got.loss, tau * tau * want), "{got:?}");
                }
            }
        }
    }

    #[test]
    fn at_temperature_one_only_what_drops_the_others_is_off() {
        let (teacher, student) = ([3.0, 2.0, 0.5, 0.0, -1.0, 0.0], [1.0, 4.0, 2.0, 0.0, 1.0, 2.0]);
        let all = outcomes(&teacher, &student, 1.0);
        let of = |name| all.iter().find(|(c, _)| *c == name).expect("there").1;
        assert_eq!(of(Convention::NoTSquared).gradient_error, 0.0);
        let bucket = of(Convention::Bucket);
        assert!(near(bucket.loss, of(Convention::ProbabilitiesOfOne).loss));
        assert!(near(bucket.tail, of(Convention::TailOfOne).tail));
        assert!(near(bucket.tail, of(Convention::TailEven).tail));
        assert!(of(Convention::Renormalised).loss > bucket.loss);
    }

    #[test]
    fn the_sum_over_the_head_alone_can_be_negative() {
        let (teacher, student) = ([1.0, 0.0, 0.9, 0.9, 0.9, 0.9], [5.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        let all = outcomes(&teacher, &student, 2.0);
        let got = all.iter().find(|(c, _)| *c == Convention::TruncatedSum).expect("there").1;
        assert!(got.loss < 0.0, "{got:?}");
    }
}
