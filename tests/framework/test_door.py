"""The short way into ops, which is written out as source when an op is first called, against the general way."""

import inspect
import subprocess
import sys
import textwrap
import traceback
from typing import Any

import numpy as np
import pytest

import framework as vh
import framework.nn.functional as F
from framework.core.door import derivative_source, public_source
from framework.core.op import TABLE
from framework.core.tensor import Tensor

CALLS: list[tuple[str, Any]] = [
    ("add", lambda x, y: vh.add(x, y)),
    ("add_number", lambda x, y: 2 + x * 3.0),
    ("sub_alpha", lambda x, y: vh.sub(x, y, alpha=2)),
    ("div", lambda x, y: x / y),
    ("pow", lambda x, y: x**3),
    ("exp", lambda x, y: x.exp()),
    ("sum", lambda x, y: x.sum()),
    ("sum_dim", lambda x, y: (x * y).sum(1, keepdim=True)),
    ("where", lambda x, y: vh.where(x > y, x, y)),
    ("matmul", lambda x, y: x @ y.t()),
    ("slice", lambda x, y: x[1:, 0] * 2),
    ("reshape", lambda x, y: x.reshape(-1)),
    ("cat", lambda x, y: vh.cat([x, y])),
    ("split", lambda x, y: vh.cat(list(x.split(1)))),
    ("max", lambda x, y: x.max(1).values),
    ("conv", lambda x, y: F.conv1d(x[None], y[:, :, None][:3, :3])),
    ("compare", lambda x, y: (x < y).to(vh.float64)),
    ("clamp", lambda x, y: x.clamp(0.2, 0.7)),
]


def operands(dtype: Any = np.float64) -> tuple[Tensor, Tensor]:
    stream = np.random.default_rng(3)
    make = lambda: vh.from_numpy(stream.uniform(0.1, 1, (3, 3)).astype(dtype)).requires_grad_()  # noqa: E731
    return make(), make()


def generally(function: Any, *tensors: Tensor) -> Any:
    """The function with the short ways shut: anomaly mode opens only the general one."""
    with vh.autograd.detect_anomaly():
        return function(*tensors)


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_short_and_general_way_agree_in_values_history_and_gradients(call: Any, dtype: str) -> None:
    x, y = operands(dtype)
    short, general = call(x, y), generally(call, x, y)
    assert np.array_equal(short.numpy(force=True), general.numpy(force=True))
    assert short.dtype == general.dtype
    assert short.requires_grad == general.requires_grad
    if not short.requires_grad:
        return
    assert short.grad_fn.name() == general.grad_fn.name()
    weight = vh.ones_like(short)
    ours = vh.autograd.grad(short, (x, y), weight, allow_unused=True, retain_graph=True)
    theirs = vh.autograd.grad(general, (x, y), weight, allow_unused=True)
    short.backward(weight)  # takes the written-out derivatives, where autograd.grad asks for some gradients only
    for mine, other, leaf in zip(ours, theirs, (x, y)):
        assert (mine is None) == (other is None) == (leaf.grad is None)
        if mine is not None:
            assert np.array_equal(mine.numpy(), other.numpy())
            assert np.array_equal(leaf.grad.numpy(), other.numpy())


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_record_writes_source_that_compiles(name: str) -> None:
    record = TABLE[name]
    compile(public_source(record), name, "exec")
    if (record.rules or record.joint) and not record.lists:
        compile(derivative_source(record), name, "exec")


def test_arguments_are_bound_as_python_does() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'other'"):
        vh.add(vh.ones(1))
    with pytest.raises(TypeError, match="unexpected keyword argument 'beta'"):
        vh.add(vh.ones(1), 1, beta=2)
    assert list(inspect.signature(vh.add).parameters) == ["input", "other", "alpha"]
    assert vh.add.__doc__ == "`input + alpha * other`."


def test_overflow_and_division_by_zero_are_silent() -> None:
    big = vh.tensor([3e38])
    assert (big + big).item() == float("inf")
    assert (big / 0.0).item() == float("inf")
    assert vh.log(vh.zeros(1)).item() == -float("inf")
    with np.errstate(all="raise"):  # whatever NumPy is told outside
        assert (big * big).item() == float("inf")


def test_other_types_and_modes_take_the_general_way() -> None:
    assert (vh.tensor([1, 2]) + vh.tensor([0.5, 1.0])).dtype == vh.float32
    assert vh.exp(vh.tensor([1, 2])).dtype == vh.float32
    with pytest.raises(RuntimeError, match="bool"):
        vh.tensor([True]) - vh.tensor([True])
    x = vh.ones(2, requires_grad=True)
    with vh.no_grad():
        assert not (x + x).requires_grad
    with vh.inference_mode():
        inside = x * 2
    with pytest.raises(RuntimeError, match="inference tensor"):
        inside.requires_grad_()


def test_a_write_after_saving_is_noticed_on_the_short_way() -> None:
    x = vh.ones(3, requires_grad=True)
    y = x * 2
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_a_second_backward_is_refused() -> None:
    x = vh.ones(3, requires_grad=True)
    z = (x * x).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        z.backward()


def test_tracebacks_show_the_written_lines() -> None:
    try:
        vh.linalg.cholesky(vh.tensor([[-1.0]]))
    except RuntimeError as error:
        lines = "".join(traceback.format_exception(error))
        assert "door.py <_cholesky" in lines
        assert "_forward(_np" in lines
    else:
        pytest.fail("a negative matrix has no Cholesky factor")


def test_many_threads_may_make_the_first_call() -> None:
    code = """
    import sys, threading
    import framework as vh
    sys.setswitchinterval(1e-6)
    x, failed, gate = vh.ones(3), [], threading.Barrier(8)
    def work():
        gate.wait()
        try:
            for name in ("add", "sub", "exp", "sin", "cos", "sqrt", "tanh", "log", "floor", "erf"):
                function = getattr(vh, name)
                function(x, x) if name in ("add", "sub") else function(x)
        except BaseException as error:
            failed.append(error)
    threads = [threading.Thread(target=work) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failed, failed
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
