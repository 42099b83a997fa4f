"""A temperature for rows in any engine: sums of record batches, which merge exactly, and the temperature applied.

    partial = softargmax.arrow.partial_stats(batches)       on every worker: many rows to one small row
    fit = softargmax.arrow.fit(partials)                    on the driver: one pass, some seven digits
    batch = softargmax.arrow.apply(batch, fit.temperature)  on every worker

Batches are those of any library with the Arrow PyCapsule interface: pyarrow, polars, Daft, DataFusion. What is given back has that
interface, too: ``pyarrow.record_batch(partial)``, ``polars.DataFrame(partial)``. None of them is imported here.
"""

from collections.abc import Callable
from typing import Any

from softargmax._softargmax import (
    FIRST_QUESTION,
    TemperatureFit,
    apply,
    fit,
    merge,
    partial_stats,
    take_answers,
)

__all__ = ["apply", "fit", "fit_temperature", "merge", "partial_stats"]


def fit_temperature(ask: Callable[[str], Any]) -> TemperatureFit:
    """The temperature under which labels are most likely, to all digits, in two to five passes over rows that are elsewhere.

    Parameters
    ----------
    ask : callable
        Takes a question and gives the partials of all rows, each ``partial_stats(…, question=question)``.

    Returns
    -------
    TemperatureFit
        The same bits however the rows were split, and those of `softargmax.fit_temperature` for fewer than 32768 logits; with
        more, that one starts from a sample, and the two agree to the fit's ``tolerance``.

    Examples
    --------
    >>> import pyarrow, softargmax.arrow as sa
    >>> batch = pyarrow.record_batch({"logits": [[4.0, 0.0]] * 4, "label": [0, 0, 1, 0]})
    >>> parts = batch[:1], batch[1:]
    >>> sa.fit_temperature(lambda question: [sa.partial_stats(part, question=question) for part in parts]).tau
    3.64095690...
    """
    question: str | TemperatureFit = FIRST_QUESTION
    while isinstance(question, str):
        question = take_answers(question, ask(question))
    return question
