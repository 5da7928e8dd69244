"""Fused steps of the elementwise optimizers beside their plain forms, for all choices, types and layouts."""

from functools import partial

import numpy as np
import pytest

from framework.backends.cpu import threads, update
from framework.ops.updates import foreach_update

RULES = [
    ("adagrad", 1, (), (0.1, 1e-10)),
    ("adadelta", 2, (), (0.5, 0.9, 0.1, 1e-6)),
    ("rmsprop", 1, (), (0.01, 0.9, 0.1, 1e-8, 0.0)),
    ("rmsprop", 2, ("MOMENTUM",), (0.01, 0.9, 0.1, 1e-8, 0.7)),
    ("rmsprop", 2, ("CENTERED",), (0.01, 0.9, 0.1, 1e-3, 0.0)),
    ("rmsprop", 3, ("MOMENTUM", "CENTERED"), (0.01, 0.9, 0.1, 1e-3, 0.7)),
    ("adamax", 2, (), (0.01, 0.1, 0.99, 1e-8)),
    ("nadam", 2, ("SHRUNK",), (0.01, 0.02, 0.3, 0.1, 0.99, 0.01, 1e-8)),
    ("radam", 2, (), (0.01, 0.0, 0.1, 0.99, 0.01, 1e-8)),
    ("radam", 2, ("RECTIFIED", "SHRUNK"), (0.01, 0.8, 0.1, 0.99, 0.01, 1e-8)),
    ("asgd", 1, ("SHRUNK", "COPIED"), (0.1, 1.0)),
    ("asgd", 1, ("SHRUNK",), (0.1, 0.25)),
    ("rprop", 2, (), (0.5, 1.2, 1e-3, 0.4)),
]
SHAPES = ((3, 4, 5), (70001,), (1,), (), (4, 3, 5, 5), (0, 2))


def last(array):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1) if array.ndim > 2 else array


def run(function, rule, states, choices, numbers, dtype, steps=3):
    rng = np.random.default_rng(0)
    params = [last(np.asarray(rng.standard_normal(shape), dtype)) for shape in SHAPES]
    kept = [np.full_like(p, 0.2) for _ in range(states) for p in params]
    for _ in range(steps):
        grads = [np.asarray(rng.standard_normal(p.shape), dtype) for p in params]  # in another layout than some
        result = function(params, grads, kept, rule, choices, 0.1, 0.98, numbers)
        assert result is not NotImplemented
    return [*params, *kept]


@pytest.mark.parametrize("decayed", [(), ("DECAYED",)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rule", "states", "choices", "numbers"), RULES)
def test_beside_the_plain_form(rule, states, choices, numbers, dtype, decayed):
    fast = run(update.foreach_update, rule, states, (*choices, *decayed), numbers, dtype)
    plain = run(partial(foreach_update.record.forward, np), rule, states, (*choices, *decayed), numbers, dtype)
    for own, other in zip(fast, plain, strict=True):
        np.testing.assert_allclose(own, other, rtol=200 * np.finfo(dtype).eps, atol=200 * np.finfo(dtype).eps)


def test_same_bytes_on_any_number_of_threads():
    before, results = threads.get_num_threads(), set()
    for number in (1, 3):
        threads.set_num_threads(number)
        final = run(update.foreach_update, "nadam", 2, ("SHRUNK",), RULES[7][3], np.float32)
        results.add(b"".join(array.tobytes() for array in final))
    threads.set_num_threads(before)
    assert len(results) == 1


def test_what_is_not_served_is_left_alone():
    p = np.ones(3, np.float16)
    assert update.foreach_update([p], [p], [p], "adagrad", (), 0.0, 1.0, (0.1, 1e-8)) is NotImplemented
    np.testing.assert_array_equal(p, 1)
