//! Every axis of arrays of every layout, against the row functions, bit for bit.
#![cfg(feature = "ndarray")]

use ndarray::{
    Array, Array1, Array2, Array3, ArrayD, ArrayRef, ArrayViewD, Axis, Dimension, IxDyn, Slice,
    array, s,
};
use softargmax::{
    Element, Error, Temperature, log_softmax, log_softmax_axis, log_softmax_axis_in_place,
    log_softmax_axis_into, log_sum_exp, log_sum_exp_axis, softmax, softmax_axis,
    softmax_axis_in_place, softmax_axis_into,
};

/// A type that can be told apart bit by bit.
trait Number: Element {
    fn of(value: f64) -> Self;
    fn bits(self) -> u64;
}

impl Number for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Number for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

#[cfg(feature = "half")]
impl Number for half::f16 {
    fn of(value: f64) -> Self {
        half::f16::from_f64(value)
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

fn numbers<T: Number, D: Dimension>(shape: D) -> Array<T, D> {
    let mut i = 0u64;
    Array::from_shape_simple_fn(shape, || {
        i += 1;
        T::of(((i * 2654435761) % 100_003) as f64 / 10_000.0 - 5.0)
    })
}

/// All functions along all axes of one view, in its own strides.
fn check<T: Number, D: Dimension>(view: &ArrayRef<T, D>) {
    let view: ArrayViewD<'_, T> = view.view().into_dyn();
    for tau in [0.0, 0.7, f64::INFINITY].map(|tau| Temperature::new(tau).unwrap()) {
        for axis in (0..view.ndim()).map(Axis) {
            let what = format!("{:?} {:?} {axis:?} {tau}", view.shape(), view.strides());
            let p = softmax_axis(&view, axis, tau).unwrap();
            let log_p = log_softmax_axis(&view, axis, tau).unwrap();
            let log_z = log_sum_exp_axis(&view, axis, tau).unwrap();
            assert!(p.is_standard_layout() && p.shape() == view.shape(), "{what}");
            let lanes =
                view.lanes(axis).into_iter().zip(p.lanes(axis)).zip(log_p.lanes(axis)).zip(&log_z);
            let mut count = 0;
            for (((x, p), log_p), &log_z) in lanes {
                let row = x.to_vec();
                let same = |got: ndarray::ArrayView1<'_, T>, want: Vec<T>| {
                    got.len() == want.len()
                        && got.iter().zip(want).all(|(a, b)| a.bits() == b.bits())
                };
                assert!(same(p, softmax(&row, tau).unwrap()), "softmax {what}");
                assert!(same(log_p, log_softmax(&row, tau).unwrap()), "log_softmax {what}");
                assert_eq!(log_z.bits(), log_sum_exp(&row, tau).unwrap().bits(), "{what}");
                count += 1;
            }
            assert_eq!(count * view.len_of(axis), view.len());
        }
    }
}

/// Hands a part of an array to a function.
type Part<'a, T> = &'a dyn Fn(&mut ArrayD<T>, &mut dyn FnMut(&mut ArrayRef<T, IxDyn>));

/// In place, in a part of an array; what lies between must stay.
fn check_in_place<T: Number>(array: &ArrayD<T>, part: Part<'_, T>) {
    let tau = Temperature::new(0.3).unwrap();
    for axis in (0..array.ndim()).map(Axis) {
        for log in [false, true] {
            let mut got = array.clone();
            part(&mut got, &mut |view| match log {
                false => softmax_axis_in_place(view, axis, tau).unwrap(),
                true => log_softmax_axis_in_place(view, axis, tau).unwrap(),
            });
            let mut want = array.clone();
            part(&mut want, &mut |view| {
                let result = match log {
                    false => softmax_axis(view, axis, tau).unwrap(),
                    true => log_softmax_axis(view, axis, tau).unwrap(),
                };
                for (to, &x) in view.iter_mut().zip(&result) {
                    *to = x;
                }
            });
            assert!(
                got.iter().zip(&want).all(|(a, b)| a.bits() == b.bits()),
                "{:?} {axis:?}",
                array.shape()
            );
        }
    }
}

fn every_layout<T: Number>() {
    for n in [1, 2, 17, 1000] {
        let a: Array1<T> = numbers(ndarray::Ix1(n));
        check(&a);
        check(&a.slice(s![..;2]));
        check(&a.slice(s![..;-1]));
        check(&a.slice(s![..;-3]));
    }
    for shape in [[1, 1], [3, 5], [16, 16], [17, 33], [40, 7], [5, 300]] {
        let a: Array2<T> = numbers(ndarray::Ix2(shape[0], shape[1]));
        check(&a);
        check(&a.t());
        check(&a.slice(s![..;2, ..]));
        check(&a.slice(s![.., ..;2]));
        check(&a.slice(s![..;-1, ..;-2]));
        check(&a.slice(s![..;-1, ..]).reversed_axes());
        check(&a.slice(s![.., ..1]).broadcast((shape[0], 4)).unwrap());
    }
    for shape in [[2, 3, 4], [1, 20, 35], [19, 3, 18], [6, 40, 1]] {
        let a: Array3<T> = numbers(ndarray::Ix3(shape[0], shape[1], shape[2]));
        check(&a);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            check(&a.view().permuted_axes(order));
            check(&a.slice(s![..;-1, ..;2, ..;-3]).permuted_axes(order));
        }
    }
    check(&numbers::<T, _>(IxDyn(&[2, 3, 1, 4, 5])));
}

#[test]
fn every_lane_has_the_bits_of_its_row() {
    every_layout::<f32>();
    every_layout::<f64>();
    #[cfg(feature = "half")]
    every_layout::<half::f16>();
}

#[test]
fn in_place_writes_the_view_and_nothing_else() {
    for shape in [&[40][..], &[20, 18], &[3, 17, 5], &[2, 3, 4, 5]] {
        let a: ArrayD<f32> = numbers(IxDyn(shape));
        check_in_place(&a, &|a, f| f(a));
        check_in_place(&a, &|a, f| f(&mut a.view_mut().reversed_axes()));
        for step in [2, -1, -2] {
            check_in_place(
                &a,
                &|a, f| f(&mut a.slice_each_axis_mut(|_| Slice::new(0, None, step))),
            );
        }
    }
}

#[test]
fn an_array_of_other_strides_is_written_too() {
    let tau = Temperature::new(0.3).unwrap();
    for shape in [[3, 17, 5], [20, 4, 18], [70, 1, 2000]] {
        let a: Array3<f32> = numbers(ndarray::Ix3(shape[0], shape[1], shape[2]));
        for axis in (0..3).map(Axis) {
            let (p, log_p) =
                (softmax_axis(&a, axis, tau).unwrap(), log_softmax_axis(&a, axis, tau).unwrap());
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let mut lies: Array3<f32> =
                    Array3::zeros([shape[order[0]], shape[order[1]], shape[order[2]]]);
                let mut back = [0; 3];
                order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
                softmax_axis_into(&a, axis, tau, &mut lies.view_mut().permuted_axes(back)).unwrap();
                assert_eq!(lies.view().permuted_axes(back), p, "{shape:?} {axis:?} {order:?}");
                log_softmax_axis_into(&a, axis, tau, &mut lies.view_mut().permuted_axes(back))
                    .unwrap();
                assert_eq!(lies.view().permuted_axes(back), log_p, "{shape:?} {axis:?} {order:?}");
            }
        }
    }
    let a: ArrayD<f32> = numbers(IxDyn(&[2, 3]));
    for wrong in [&[2, 4][..], &[3, 2], &[2, 3, 1], &[6]] {
        let out = &mut ArrayD::zeros(IxDyn(wrong));
        assert!(matches!(softmax_axis_into(&a, Axis(0), tau, out), Err(Error::Shape { .. })));
    }
}

/// Large enough for several threads, and lanes long enough for small panels.
#[test]
fn large_arrays_have_the_bits_of_their_rows_too() {
    let a: Array3<f32> = numbers(ndarray::Ix3(3, 500, 200));
    check(&a);
    check(&a.slice(s![.., ..;-1, 1..;2]));
    let a: Array2<f32> = numbers(ndarray::Ix2(70_000, 18));
    check(&a.t());
    check(&a.slice(s![..;-1, ..17]));
}

/// Large enough to be written past the cache; the lines of `out` begin anywhere in those of the cache.
#[test]
fn streamed_arrays_have_the_bits_of_their_rows_too() {
    streamed::<f32>(130);
    streamed::<f64>(65);
}

fn streamed<T: Number + PartialEq>(classes: usize) {
    let (lanes, tau) = (16_400, Temperature::new(0.3).unwrap());
    let mut a: Array2<T> = numbers(ndarray::Ix2(classes, lanes));
    for (lane, odd) in [(0, f64::NAN), (77, f64::INFINITY), (16_399, f64::NEG_INFINITY)] {
        a[[classes / 2, lane]] = T::of(odd);
    }
    let rows: Vec<Vec<T>> =
        a.columns().into_iter().map(|lane| softmax(&lane.to_vec(), tau).unwrap()).collect();
    let mut wide = Array2::from_elem((classes, lanes + 32), T::of(0.5));
    for start in [0, 1, 12, 31] {
        let mut out = wide.slice_mut(s![.., start..start + lanes]);
        softmax_axis_into(&a, Axis(0), tau, &mut out).unwrap();
        for (lane, row) in out.columns().into_iter().zip(&rows) {
            assert!(lane.iter().zip(row).all(|(a, b)| a.bits() == b.bits()), "from {start}");
        }
        out.fill(T::of(0.5));
        assert!(wide.iter().all(|&x| x == T::of(0.5)), "from {start}: beside the lanes");
    }
}

#[test]
fn what_has_no_answer_is_refused() {
    let one = Temperature::ONE;
    let a = Array3::<f32>::zeros((2, 0, 3));
    assert_eq!(softmax_axis(&a, Axis(1), one), Err(Error::NoClasses));
    assert_eq!(log_sum_exp_axis(&a, Axis(1), one), Err(Error::NoClasses));
    assert_eq!(softmax_axis(&a, Axis(3), one), Err(Error::Axis { axis: 3, ndim: 3 }));
    assert_eq!(
        log_softmax_axis_in_place(&mut a.clone(), Axis(7), one),
        Err(Error::Axis { axis: 7, ndim: 3 })
    );
    assert_eq!(log_sum_exp_axis(&a, Axis(9), one), Err(Error::Axis { axis: 9, ndim: 3 }));
    assert_eq!(
        softmax_axis(&ndarray::arr0(1.0), Axis(0), one),
        Err(Error::Axis { axis: 0, ndim: 0 })
    );
    // No lanes are fine.
    assert_eq!(softmax_axis(&a, Axis(0), one).unwrap().shape(), [2, 0, 3]);
    assert_eq!(log_sum_exp_axis(&a, Axis(2), one).unwrap().shape(), [2, 0]);
    assert_eq!(
        log_sum_exp_axis(&array![2.0, 2.0], Axis(0), one).unwrap(),
        ndarray::arr0(2.0 + std::f64::consts::LN_2)
    );
}
