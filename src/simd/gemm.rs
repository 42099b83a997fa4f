//! Products of matrices, by the crate `matrixmultiply`, behind a door that checks every bound.
//!
//! With fused multiply-adds (AVX2, AVX-512, NEON) an entry is added up in order, in runs of 256 terms, whatever the sizes
//! of the matrices: a test below holds it to that. Without them every product is rounded too, and last bits differ.

use matrixmultiply::{dgemm, sgemm};

/// A matrix `[rows, columns]` in a slice, row after row.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, R> {
    data: &'a [R],
    rows: usize,
    columns: usize,
    /// From one row to the next, and from one column to the next.
    strides: (usize, usize),
}

impl<'a, R> Matrix<'a, R> {
    /// The first `columns` of each of `rows` rows that begin every `stride` numbers.
    pub(crate) fn new(data: &'a [R], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride, "rows overlap");
        assert!(rows == 0 || data.len() >= (rows - 1) * stride + columns, "the rows are not there");
        Matrix { data, rows, columns, strides: (stride, 1) }
    }

    /// Rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        let (rows, columns) = self.strides;
        Matrix { rows: self.columns, columns: self.rows, strides: (columns, rows), ..self }
    }
}

/// A type there are products of.
pub trait Gemm: Sized {
    #[doc(hidden)]
    #[expect(unsafe_code, reason = "the crate takes pointers")]
    /// C ← A·B.
    ///
    /// # Safety
    /// `a`, `b` and `c` point to matrices `[m, k]`, `[k, n]` and `[m, n]` with these strides.
    unsafe fn gemm(
        m: usize,
        k: usize,
        n: usize,
        a: (*const Self, isize, isize),
        b: (*const Self, isize, isize),
        c: (*mut Self, isize, isize),
    );
}

macro_rules! gemm {
    ($real:ty, $gemm:ident) => {
        impl Gemm for $real {
            #[expect(unsafe_code, reason = "the crate takes pointers")]
            unsafe fn gemm(
                m: usize,
                k: usize,
                n: usize,
                a: (*const Self, isize, isize),
                b: (*const Self, isize, isize),
                c: (*mut Self, isize, isize),
            ) {
                // SAFETY: as promised to this function.
                unsafe {
                    $gemm(m, k, n, 1.0, a.0, a.1, a.2, b.0, b.1, b.2, 0.0, c.0, c.1, c.2);
                }
            }
        }
    };
}

gemm!(f32, sgemm);
gemm!(f64, dgemm);

/// `to ← a·b`, whose rows begin every `stride` numbers.
#[expect(unsafe_code, reason = "the crate takes pointers")]
pub(crate) fn multiply<R: Gemm>(a: Matrix<R>, b: Matrix<R>, to: &mut [R], stride: usize) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "the matrices do not fit together");
    assert!(n <= stride, "rows overlap");
    if m == 0 || n == 0 {
        return;
    }
    assert!(to.len() >= (m - 1) * stride + n, "the product does not fit");
    let of = |matrix: &Matrix<R>| {
        (matrix.data.as_ptr(), matrix.strides.0 as isize, matrix.strides.1 as isize)
    };
    // SAFETY: `Matrix::new` has checked that the last number of the last row is in the slice, and transposing
    // keeps the set of places; the same for `to` just above, which is borrowed alone, so nothing aliases.
    unsafe { R::gemm(m, k, n, of(&a), of(&b), (to.as_mut_ptr(), stride as isize, 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_products() {
        let a = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]; // [2, 2] in rows of 3
        let b = [5.0, 6.0, 7.0, 8.0];
        let (a, b) = (Matrix::new(&a, 2, 2, 3), Matrix::new(&b, 2, 2, 2));
        let mut to = [0.0; 6];
        multiply(a, b, &mut to, 4);
        assert_eq!(to, [19.0, 22.0, 0.0, 0.0, 43.0, 50.0]);
        multiply(a, b.transposed(), &mut to, 4);
        assert_eq!(to, [17.0, 23.0, 0.0, 0.0, 39.0, 53.0]);
    }

    /// The order of additions that results rest on: the same in every row and column of every size.
    #[test]
    fn entries_are_added_in_order_in_runs_of_256() {
        #[cfg(target_arch = "x86_64")]
        if !std::arch::is_x86_feature_detected!("fma") {
            eprintln!("skipped: this machine has no fused multiply-add");
            return;
        }
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5;
        for (m, k, n) in [(1, 1, 1), (1, 700, 3), (5, 256, 40), (70, 513, 33), (64, 300, 1)] {
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let b: Vec<f32> = (0..k * n).map(|i| number(i + 31)).collect();
            let mut to = vec![0.0; m * n];
            multiply(Matrix::new(&a, m, k, k), Matrix::new(&b, k, n, n), &mut to, n);
            for (i, &got) in to.iter().enumerate() {
                let (row, column) = (i / n, i % n);
                let mut want = 0.0f32;
                for first in (0..k).step_by(256) {
                    let mut run = 0.0f32;
                    for j in first..k.min(first + 256) {
                        run = a[row * k + j].mul_add(b[j * n + column], run);
                    }
                    want += run;
                }
                assert_eq!(got.to_bits(), want.to_bits(), "[{m}, {k}]·[{k}, {n}] {row} {column}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn what_does_not_fit_is_refused() {
        let a = [0.0f32; 6];
        multiply(Matrix::new(&a, 2, 3, 3), Matrix::new(&a, 2, 3, 3), &mut [0.0; 9], 3);
    }
}
