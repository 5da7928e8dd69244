"""Libraries written over the array API standard, on our tensors: array-api-compat, array-api-extra, SciPy."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framework as vh
import framework.array_api as xp

ROOT = Path(__file__).resolve().parents[2]
SCIPY = {
    "special.logsumexp": "(x, axis=0)",
    "special.softmax": "(x, axis=1)",
    "special.expit": "(x)",
    "special.gammaln": "(abs(x))",
    "stats.zscore": "(x)",
    "stats.skew": "(x)",
    "stats.rankdata": "(x)",
    "stats.quantile": "(x, 0.25)",
    "stats.ttest_1samp": "(x, 0.1)",
    "stats.pearsonr": "(x[:, 0], x[:, 1])",
    "fft.rfftn": "(x)",
    "fft.dct": "(x)",
    "signal.fftconvolve": "(x, x)",
    "signal.detrend": "(x)",
    "ndimage.gaussian_filter": "(x, 1.0)",
    "ndimage.distance_transform_edt": "(x > 0)",
    "ndimage.label": "(x > 0)",
    "integrate.trapezoid": "(x)",
    "cluster.vq.whiten": "(x)",
    "spatial.transform.Rotation.from_rotvec": "(x[:, :3]).as_matrix()",
}
SCRIPT = """
import importlib, sys
import numpy as np
import framework as vh

array = np.random.default_rng(0).standard_normal((6, 4))
for line in sys.stdin.read().splitlines():
    name, call = line.split("|")
    parts = name.split(".")
    depth = 3 if parts[0] in ("cluster", "spatial") else 2
    importlib.import_module(".".join(["scipy", *parts[: depth - 1]]))
    code = f"scipy.{name}{call}"
    space = {"scipy": sys.modules["scipy"], "abs": abs}
    ours = eval(code, space | {"x": vh.from_numpy(array)})
    theirs = eval(code, space | {"x": array})
    pairs = list(zip(ours, theirs)) if isinstance(ours, tuple) else [(ours, theirs)]
    for mine, reference in pairs:
        if hasattr(reference, "shape") and reference.shape:
            assert isinstance(mine, vh.Tensor), (name, type(mine))
        np.testing.assert_allclose(np.asarray(mine), reference, rtol=1e-10, atol=1e-12, err_msg=name)
    print("same", name)
"""


@pytest.mark.oracle
def test_scipy_computes_on_tensors() -> None:
    calls = "\n".join(f"{name}|{call}" for name, call in SCIPY.items())
    environment = os.environ | {"SCIPY_ARRAY_API": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    ran = subprocess.run(command, input=calls, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.count("same") == len(SCIPY)


def test_array_api_compat_finds_the_namespace() -> None:
    compat = pytest.importorskip("array_api_compat")
    x = vh.ones(2, 3)
    assert compat.array_namespace(x, x[0]) is xp
    assert compat.is_array_api_obj(x)
    assert (compat.size(x), compat.device(x)) == (6, vh.device("cpu"))
    assert compat.to_device(x, "cpu") is x


@pytest.mark.oracle
@pytest.mark.parametrize(
    "call",
    [
        lambda xpx, x: xpx.cov(x),
        lambda xpx, x: xpx.kron(x, x),
        lambda xpx, x: xpx.pad(x, 2),
        lambda xpx, x: xpx.nunique(x),
        lambda xpx, x: xpx.sinc(x),
        lambda xpx, x: xpx.at(x)[0, 0].set(9.0),
        lambda xpx, x: xpx.setdiff1d(x[0], x[1]),
        lambda xpx, x: xpx.create_diagonal(x[0]),
        lambda xpx, x: xpx.apply_where(x > 0, (x,), lambda a: a * 2, fill_value=0.0),
        lambda xpx, x: xpx.partition(x, 2),
    ],
)
def test_array_api_extra(call: Any) -> None:
    extra = pytest.importorskip("array_api_extra")
    array = np.random.default_rng(1).standard_normal((3, 4))
    ours = call(extra, xp.asarray(array))
    assert isinstance(ours, vh.Tensor)
    np.testing.assert_allclose(ours.numpy(), call(extra, array), rtol=1e-12)
