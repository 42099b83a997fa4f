"""Sampling: the pinned draws of the library and the program, what is drawn from, rows of a batch, what is refused."""

import json
import math
import os
import subprocess
from itertools import product
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from conftest import same_bits

import softargmax as sa
from softargmax.transformers import Sampling

RANDOM = np.random.default_rng(5)
FILTERS: dict[str, object] = {"top_k": 40, "top_p": 0.9, "min_p": 0.03, "typical_p": 0.7, "top_n_sigma": 2.5}
ORDERS = ("temperature_first", "min_p_first", "temperature_last")


def logits(*shape: int, dtype: object = "f4", deviation: float = 3.0) -> np.ndarray:
    x = RANDOM.normal(size=shape) * deviation
    x[RANDOM.random(shape) < 0.05] = -np.inf
    x[..., 0] = 1.0
    return x.astype(dtype)


def test_the_librarys_pinned_draws() -> None:
    """tests/sample/golden.rs, FIRST."""
    want = [1, 0, 1, 3, 3, 2, 0, 3, 2, 3, 0, 3, 2, 2, 2, 2]
    x = np.array([1, 2, 3, 4], "f4")
    got = sa.sample(x, 16, temperature=2.0, seed=42)
    assert got.dtype == np.int64 and got.tolist() == want
    one_by_one = [sa.sample(x, temperature=2.0, seed=42, position=i) for i in range(16)]
    assert one_by_one == want and one_by_one[0].shape == ()
    # Types, strides and integers do not matter.
    for other in (x.astype("f8"), x.astype("f2"), x.astype(ml_dtypes.bfloat16), x.astype(int), x[::-1].copy()[::-1]):
        assert sa.sample(other, 16, temperature=2, seed=42).tolist() == want


@pytest.fixture(scope="module")
def program() -> str:
    path = os.environ.get("SOFTARGMAX_PROGRAM")
    if path is None:
        pytest.skip("SOFTARGMAX_PROGRAM does not name the program to compare with; `make test` does")
    return path


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_draws_are_those_of_the_program(program: str, tmp_path: Path, dtype: str) -> None:
    """Tokens and all three log-probabilities, to the bit: the program is the Rust library behind a file."""
    x = logits(7, 300, dtype=dtype)
    np.save(tmp_path / "x.npy", x)
    parameters: list[dict[str, object]] = [
        {"temperature": "0.8"},
        {"temperature": 0},
        {"temperature": math.inf, "top_k": 9},
        {"temperature": "0.7", "preset": "llama_cpp"},
        {"preset": "hf", "logit_bias": {0: -1.5, 7: 4.0, 9: -math.inf}},
        *({"temperature": "0.8", name: value} for name, value in FILTERS.items()),
        *({**FILTERS, "temperature": "1.3", "order": order} for order in ORDERS),
    ]
    for p, method in product(parameters, ("inverse", "gumbel")):
        command = [program, "sample", tmp_path / "x.npy", "--seed", "11", "--position", "3", "--stream", "5", "-n", "6", "--json"]
        command += ["--method", method]
        for name, value in p.items():
            if name == "logit_bias":
                for token, bias in value.items():  # type: ignore[attr-defined]
                    command += ["--bias", f"{token}={bias}"]
            else:
                flag = "typical" if name == "typical_p" else name.replace("_", "-")
                command += [f"--{flag}", str(value).replace("_", "-")]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        rows = json.loads(run.stdout)["rows"]
        read = x.astype("f8")  # as the program reads it; float32 rows are weighed in float32, with other last bits
        got = sa.sample(read, 6, seed=11, position=3, stream=5, method=method, **p)
        assert got.tolist() == [[draw["token"] for draw in row["draws"]] for row in rows], (p, method)
        for of, name in (("drawn", "log_prob"), ("tempered", "tempered_log_prob"), ("raw", "raw_log_prob")):
            want = np.array([[draw[name] for draw in row["draws"]] for row in rows])
            np.testing.assert_array_equal(sa.log_prob(read, got, of=of, **p), want, f"{p} {of}")
        kept = [row["kept"] for row in rows]
        assert np.all((sa.probabilities(read, **p) > 0).sum(axis=1) <= kept)


def test_probabilities_are_what_is_drawn_from() -> None:
    x = logits(5, 40)
    for p in ({}, {"top_k": 5}, {"top_p": 0.8, "temperature": 2}, {"min_p": 0.1, "order": "temperature_last", "temperature": 3}):
        got = sa.probabilities(x, **p)
        assert got.dtype == np.float64 and got.shape == x.shape
        np.testing.assert_allclose(got.sum(axis=1), 1, rtol=1e-12)
        drawn = sa.sample(x, 4000, seed=3, **p)
        assert drawn.shape == (5, 4000)
        for row, tokens in zip(got, drawn, strict=True):
            counts = np.bincount(tokens, minlength=40)
            assert not counts[row == 0].any()
            # Five sigma, and one draw.
            assert np.all(np.abs(counts - 4000 * row) <= 5 * np.sqrt(4000 * row * (1 - row)) + 1)
        every = np.tile(np.arange(40), (5, 1))
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(sa.log_prob(x, every, **p), np.log(got), rtol=1e-13, atol=1e-13)
    # Without filters they are softmax, up to what integers hold.
    np.testing.assert_allclose(sa.probabilities(x, temperature=0.7), sa.softmax(x.astype("f8"), -1, temperature=0.7), atol=1e-9)


def test_a_batch_is_its_rows() -> None:
    """Each with parameters, seed, stream, position, mask and history of its own; over threads and not."""
    rows, classes = 60, 5000
    x = logits(rows, classes)
    mask = RANDOM.random(x.shape) < 0.9
    mask[:, 0] = True
    history = [RANDOM.integers(classes, size=n % 7).tolist() for n in range(rows)]
    own: dict[str, list[object]] = {
        "temperature": [0.5 + i / rows for i in range(rows)],
        "top_k": [10 * i for i in range(rows)],
        "top_p": [1 - i / 100 for i in range(rows)],
        "min_p": [i / 1000 for i in range(rows)],
        "typical_p": [1 - i / 300 for i in range(rows)],
        "top_n_sigma": [float(i % 4) for i in range(rows)],
        "repetition_penalty": [1 + i / 50 for i in range(rows)],
        "presence_penalty": [i / 40 for i in range(rows)],
        "frequency_penalty": [i / 60 for i in range(rows)],
        "logit_bias": [{i: 2.5} for i in range(rows)],
    }
    places = {"seed": [i // 3 for i in range(rows)], "stream": [7 * i for i in range(rows)], "position": [i * i for i in range(rows)]}
    before = sa.get_num_threads()
    try:
        for method in ("inverse", "gumbel"):
            batches = []
            for threads in (1, 2, 3):
                sa.set_num_threads(threads)
                tokens = sa.sample(x, 3, where=mask, history=history, method=method, **places, **own)
                batches.append((tokens, sa.log_prob(x, tokens, where=mask, history=history, **own)))
            for tokens, log_probs in batches[1:]:
                assert same_bits(tokens, batches[0][0]) and same_bits(log_probs, batches[0][1])
            for i in range(rows):
                of_row = {name: values[i] for name, values in own.items()} | {"where": mask[i], "history": history[i]}
                place = {name: values[i] for name, values in places.items()}
                one = sa.sample(x[i], 3, method=method, **place, **of_row)
                assert same_bits(one, tokens[i]), i
                assert same_bits(sa.log_prob(x[i], one, **of_row), log_probs[i])
    finally:
        sa.set_num_threads(before)
    arrays = {name: np.array(values) for name, values in own.items() if name != "logit_bias"}
    got = sa.sample(x, 3, where=mask, history=history, method="gumbel", logit_bias=own["logit_bias"],
                    **{name: np.array(values) for name, values in places.items()}, **arrays)  # fmt: skip
    assert same_bits(got, tokens)


def test_streams_count_up_from_the_first_row() -> None:
    x = np.tile(logits(100), (4, 1))
    got = sa.sample(x, 20, seed=9, stream=3)
    assert len({tuple(row) for row in got.tolist()}) == 4
    for i, row in enumerate(got):
        assert same_bits(row, sa.sample(x[0], 20, seed=9, stream=3 + i))
    assert same_bits(got, sa.sample(np.asfortranarray(x), 20, seed=9, stream=[3, 4, 5, 6]))
    assert same_bits(sa.sample(x[::2, ::-1], 20), sa.sample(x[::2, ::-1].copy(), 20))


def test_masks_and_penalties() -> None:
    x = np.zeros((2, 130), "f4")
    where = np.zeros(130, bool)
    where[[3, 64, 129]] = True
    assert set(sa.sample(x, 200, where=where).ravel()) == {3, 64, 129}
    each = np.stack([where, np.arange(130) == 128])
    assert set(sa.sample(x, 200, where=each)[0]) == {3, 64, 129} and set(sa.sample(x, 9, where=each)[1]) == {128}
    logit = np.array([2.0, -2.0, 1.0])
    got = sa.log_prob(logit, [0, 1, 2], history=[0, 1, 1], repetition_penalty=2, presence_penalty=0.5, frequency_penalty=0.25)
    np.testing.assert_allclose(got, sa.log_softmax([0.25, -5.0, 1.0]), atol=1e-9)
    assert same_bits(sa.probabilities(logit, history=[]), sa.probabilities(logit))
    assert same_bits(sa.probabilities(logit, history=[0], repetition_penalty=None, top_p=None), sa.probabilities(logit))


def test_special_values() -> None:
    inf = math.inf
    assert set(sa.sample([1.0, 5.0, 5.0, -inf], 64, temperature=0)) == {1, 2}
    assert sa.sample([1.0, 5.0, 5.0], 64, preset="greedy").tolist() == [1] * 64
    assert set(sa.sample([1.0, 50.0, -inf], 64, temperature=inf)) == {0, 1}
    assert set(sa.sample([inf, 3.0, inf], 64)) == {0, 2}
    assert sa.sample([[3.0]], 2).tolist() == [[0, 0]]
    assert sa.sample(np.zeros((0, 5))).shape == (0,) and sa.sample(np.zeros((0, 5)), 3).shape == (0, 3)
    assert sa.sample(np.zeros((2, 5)), 0).shape == (2, 0)
    assert sa.probabilities(np.zeros((0, 5)), temperature=[]).shape == (0, 5)
    assert sa.log_prob([0.0, -inf], 1) == -inf
    assert sorted(sa.sample([0.0, 1.0, -inf, 2.0], 3, replace=False)) == [0, 1, 3]
    assert sa.sample([0.0, 1.0], seed=2**64 - 1, stream=2**64 - 1, position=2**56 - 1) in (0, 1)
    assert sa.sample([0.0, 9.0], temperature=1e-300) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([1.0, math.nan],), ValueError, "row 0: logit 1 is NaN: logits must be numbers or infinite"),
        (([[1.0, 2.0], [3.0, math.nan]],), ValueError, "row 1: logit 1 is NaN: logits must be numbers or infinite"),
        (([[0.0], [-math.inf]],), ValueError, "row 1: every token is masked: at least one must be allowed and above -inf"),
        (([],), ValueError, "rows of 0 classes have no distribution"),
        ((np.zeros((2, 2, 2)),), ValueError, "logits has shape [2, 2, 2]: it must have one axis or two"),
        (([0.0], {"top_p": 1.5}), ValueError, "top_p 1.5 is not allowed: it must be from 0 to 1"),
        (([0.0], {"min_p": math.nan}), ValueError, "min_p NaN is not allowed: it must be from 0 to 1"),
        (([[0.0], [0.0]], {"top_p": [1, -0.5]}), ValueError, "row 1: top_p -0.5 is not allowed: it must be from 0 to 1"),
        (([0.0], {"repetition_penalty": 0}), ValueError, "repetition_penalty 0 is not allowed: it must be positive and finite"),
        (([0.0], {"temperature": -1}), ValueError, "temperature -1 is not allowed: it must be 0, positive or inf"),
        (([0.0], {"top_k": -1}), ValueError, "top_k -1 is not allowed: it must be from 0 to 2^64 - 1"),
        (([0.0], {"top_k": 2.5}), TypeError, "top_k is a float: it must be an integer"),
        (([0.0], {"top_p": "a"}), TypeError, "top_p is a str: it must be a number"),
        (([0.0], {"seed": 2**64}), ValueError, "seed 18446744073709551616 is not allowed: it must be from 0 to 2^64 - 1"),
        (([0.0], {"position": 2**56}), ValueError, "position 72057594037927940 is not allowed: it must be below 2^56"),
        (([0.0], {"top_k": [1, 2]}), ValueError, "top_k is a list: logits of one axis take one number"),
        (([[0.0], [0.0]], {"seed": [1, 2, 3]}), ValueError, "seed has length 3, expected 2"),
        (([0.0], {"order": "last"}), ValueError, 'order is "last": it must be one of "temperature_first", "min_p_first", "temperature_last"'),
        (([0.0], {"topk": 3}), TypeError, "there is no parameter topk: there are preset, temperature, top_k, top_p, min_p, typical_p, "
                                          "top_n_sigma, repetition_penalty, presence_penalty, frequency_penalty, logit_bias, order"),
        (([0.0], {"logit_bias": {1: 2.0}}), ValueError, "logit_bias: token 1 is not a class: there are 1, counted from 0"),
        (([0.0], {"logit_bias": {-1: 2.0}}), ValueError, "logit_bias: token -1 is not a class: they are counted from 0"),
        (([0.0], {"logit_bias": [1]}), ValueError, "logit_bias is a list: logits of one axis take one number"),
        (([[0.0], [0.0]], {"history": [[0], [5]]}), ValueError, "row 1: history: token 5 is not a class: there are 1, counted from 0"),
        (([[0.0], [0.0]], {"history": [[0]]}), ValueError, "history has length 1, expected 2"),
        (([[0.0], [0.0]], {"history": np.array([0, 0])}), ValueError, "history has shape [2]: it must have two axes"),
        (([0.0], {"history": [0.5]}), TypeError, "history has dtype float64: it must be integers"),
        (([0.0, 1.0], {"where": [True]}), ValueError, "where has shape [1], which does not fit [2]"),
        (([0.0, 1.0], {"where": [1, 0]}), TypeError, "where has dtype int64: it must be bool"),
        (([[0.0, 1.0]], {"n": 3, "replace": False}), ValueError,
         "row 0: number of tokens 3 is not allowed: it must be no more than can be drawn"),
    ],
)  # fmt: skip
def test_what_is_refused(arguments: tuple, error: type[Exception], text: str) -> None:
    x, how = (*arguments, {})[:2]
    with pytest.raises(error) as raised:
        sa.sample(x, **how)
    assert str(raised.value) == text
    assert error is TypeError or isinstance(raised.value, sa.SoftargmaxError)


def test_tokens_that_fit_are_asked_for() -> None:
    for tokens, text in (
        ([3, 9], "row 1: tokens: token 9 is not a class: there are 4, counted from 0"),
        ([[0]], r"tokens has shape \[1, 1\], expected \[2\] or \[2, n\]"),
        ([-1, 0], "tokens: token -1 is not a class"),
    ):
        with pytest.raises(sa.SoftargmaxError, match=text):
            sa.log_prob(np.zeros((2, 4)), tokens)
    with pytest.raises(TypeError, match="tokens has dtype float64"):
        sa.log_prob([0.0], 0.5)
    assert sa.log_prob(np.zeros((2, 4)), np.zeros((2, 0), int)).shape == (2, 0)


def test_the_adaptor_for_transformers() -> None:
    """As generate calls it: with the tokens so far and the scores; every step from its own place."""
    batch, classes = 3, 50
    sampling = Sampling(temperature=0.7, top_k=8, repetition_penalty=1.3, seed=6)
    reported = Sampling(temperature=0.7, top_k=8, repetition_penalty=1.3)
    ids = np.zeros((batch, 2), np.int64)
    for _ in range(20):
        scores = logits(batch, classes)
        before = scores.copy()
        result = sampling(ids, scores)
        assert result.dtype == scores.dtype and same_bits(scores, before)
        assert np.all(np.isfinite(result).sum(axis=1) == 1) and np.all(result.max(axis=1) == 0)
        drawn = result.argmax(axis=1)
        how = {"temperature": 0.7, "top_k": 8, "repetition_penalty": 1.3, "history": ids}
        assert same_bits(drawn, sa.sample(scores, seed=6, position=ids.shape[1], **how))
        log_probs = reported(ids, scores)
        assert np.all(np.isfinite(log_probs).sum(axis=1) <= 8)
        np.testing.assert_allclose(np.exp(log_probs), sa.probabilities(scores, **how), rtol=1e-6)
        ids = np.concatenate([ids, drawn[:, None]], axis=1)
    assert "top_k=8" in repr(sampling)
    with pytest.raises(TypeError, match="there is no parameter top"):
        Sampling(top=3)(ids, logits(batch, classes))
    with pytest.raises(sa.SoftargmaxError, match="row 1: logit 7 is NaN"):
        scores[1, 7] = np.nan
        sampling(ids, scores)


def test_generate() -> None:
    """transformers' own `generate`, with a small model of random weights: what it writes is what `sample` draws."""
    torch = pytest.importorskip("torch", reason="torch is not installed: make test-torch installs it")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=101, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0, pad_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    prompts = torch.tensor([[5, 6, 7], [8, 9, 10]])
    how = {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.2}

    def written(sampling: Sampling, prompts: object = prompts) -> object:
        return model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            max_new_tokens=12,
            min_new_tokens=12,
            logits_processor=transformers.LogitsProcessorList([sampling]),
        )

    seeded = written(Sampling(seed=3, stream=[0, 1], **how))
    assert seeded.shape == (2, 15)
    assert torch.equal(seeded, written(Sampling(seed=3, stream=[0, 1], **how)))
    assert torch.equal(seeded[1:], written(Sampling(seed=3, stream=1, **how), prompts[1:]))
    # The same, token by token, without generate; its own min_new_tokens masks the token that ends a text.
    ids = prompts
    for _ in range(12):
        with torch.no_grad():
            scores = model(ids).logits[:, -1].float().numpy()
        scores[:, 0] = -np.inf
        drawn = sa.sample(scores, seed=3, stream=[0, 1], position=ids.shape[1], history=ids.numpy(), **how)
        ids = torch.cat([ids, torch.from_numpy(drawn)[:, None]], dim=1)
    assert torch.equal(seeded, ids)
    # Without a seed torch draws, from ours: never what the filters leave out.
    free = written(Sampling(**how))
    for end in range(3, 15):
        with torch.no_grad():
            scores = model(free[:, :end]).logits[:, -1].float().numpy()
        scores[:, 0] = -np.inf
        p = sa.probabilities(scores, history=free[:, :end].numpy(), **how)
        assert (p[[0, 1], free[:, end].numpy()] > 0).all()


def test_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: make test-torch installs it")
    import softargmax.torch as st

    x = logits(4, 60)
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        t = torch.from_numpy(x).to(dtype).requires_grad_()
        same = t.detach().float().numpy() if dtype.itemsize == 2 else t.detach().numpy()
        how = {"top_p": 0.9, "min_p": 0.01}
        own = {"temperature": torch.linspace(0.5, 1.5, 4), "seed": torch.arange(4), "where": torch.ones(60, dtype=torch.bool)}
        arrays = {name: value.numpy() for name, value in own.items()}
        got = st.sample(t, 9, **how, **own)
        assert got.dtype == torch.int64 and same_bits(got.numpy(), sa.sample(same, 9, **how, **arrays))
        del own["seed"], arrays["seed"]
        assert same_bits(st.log_prob(t, got, **how, **own).numpy(), sa.log_prob(same, got.numpy(), **how, **arrays))
        assert same_bits(st.probabilities(t, **how, **own).numpy(), sa.probabilities(same, **how, **arrays))
        ids = torch.zeros(4, 3, dtype=torch.long)
        for seed in (None, 4):
            sampling = Sampling(seed=seed, repetition_penalty=1.2, **how)
            result = sampling(ids, t)
            assert isinstance(result, torch.Tensor) and result.dtype == dtype
            want = torch.from_numpy(sampling(ids.numpy(), same)).to(dtype)
            torch.testing.assert_close(result, want, rtol=1e-2 if dtype.itemsize == 2 else 1e-6, atol=0)
    assert st.sample(torch.zeros(3), temperature=0).shape == ()
    with pytest.raises(sa.SoftargmaxError, match="logits is on meta: tokens are drawn on the CPU"):
        st.sample(torch.zeros(3, device="meta"))
