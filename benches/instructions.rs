//! One function, so many times: for a tool that counts instructions. `make instructions` counts with valgrind and takes the
//! difference of two runs, in which nothing is left but the calls.
//!
//!     cargo bench --bench instructions -- FUNCTION TYPE ROWS CLASSES CALLS

use std::hint::black_box;

use softargmax::{
    Element, Isa, Labels, LossMut, Rows, Temperature, cross_entropy_into, distillation,
    log_softmax_into, log_sum_exp_rows, softmax_into,
};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [function, element, sizes @ ..] = &words[..] else {
        return eprintln!("FUNCTION TYPE ROWS CLASSES CALLS");
    };
    let sizes: Vec<usize> = sizes.iter().map(|size| size.parse().expect("a number")).collect();
    let [rows, classes, calls] = sizes[..] else { panic!("ROWS CLASSES CALLS") };
    match &element[..] {
        "f32" => run(function, (rows, classes), calls, |x| x),
        "f64" => run(function, (rows, classes), calls, f64::from),
        "f16" => run(function, (rows, classes), calls, half::f16::from_f32),
        "bf16" => run(function, (rows, classes), calls, half::bf16::from_f32),
        _ => panic!("no type {element}"),
    }
    println!("{:?}", Isa::current());
}

fn run<T: Element>(
    function: &str,
    (rows, classes): (usize, usize),
    calls: usize,
    of: fn(f32) -> T,
) {
    // Bits of a golden-ratio sequence: spread evenly over ±3.
    let logit = |i: usize| (i as u32).wrapping_mul(2_654_435_769) as f32 / 715_827_882.0 - 3.0;
    let logits: Vec<T> = (0..rows * classes).map(|i| of(logit(i))).collect();
    let teacher: Vec<T> = (0..rows * classes).map(|i| of(logit(i + 7))).collect();
    let labels: Vec<i64> = (0..rows).map(|i| (i * 7919 % classes) as i64).collect();
    let (mut out, mut d_tau) = (logits.clone(), vec![0.0; rows]);
    let tau = Temperature::new(0.07).expect("a temperature");
    let four = Temperature::new(4.0).expect("a temperature");
    let view = |numbers| Rows::new(black_box(numbers), classes).expect("rows");
    for _ in 0..calls {
        match function {
            "softmax" => softmax_into(view(&logits), tau, &mut out).expect("softmax"),
            "log_softmax" => log_softmax_into(view(&logits), tau, &mut out).expect("log_softmax"),
            "log_sum_exp" => {
                black_box(log_sum_exp_rows(view(&logits), tau).expect("log_sum_exp"));
            }
            "cross_entropy" => {
                let labels = Labels::new(&labels, classes).expect("labels");
                let to = LossMut { logits: &mut out, tau: &mut d_tau };
                let loss = cross_entropy_into(view(&logits), labels, tau, &Default::default(), to);
                black_box(loss.expect("a loss"));
            }
            "distillation" => {
                let loss = distillation(view(&logits), view(&teacher), four, &Default::default());
                black_box(loss.expect("a loss"));
            }
            _ => panic!("no function {function}"),
        }
    }
}
