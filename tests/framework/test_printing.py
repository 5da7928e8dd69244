"""What a tensor prints, character by character beside torch, apart from the module's name."""

from typing import Any

import numpy as np
import pytest

import framework as vh

KINDS = [
    "bool",
    "uint8",
    "int8",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
VALUES: dict[str, Any] = {
    "whole": [1.0, 2.0, -30.0],
    "fixed": [0.5, -1.25, 100.0],
    "wide range": [1e-5, 1.0, 1e4],
    "large": [1e9, 2e9],
    "large and small whole": [1.0, 2e9],
    "small": [1e-5, 2e-5],
    "nonfinite": [np.nan, np.inf, -np.inf, 1.0],
    "nonfinite fixed": [np.nan, np.inf, 0.25],
    "only nan": [np.nan, np.nan],
    "zeros": [0.0, -0.0],
    "zeros and fixed": [0.0, 0.123456789],
    "one": [1.5],
    "matrix": [[1.0, 2.5], [-3.25, 1000.0]],
    "three dimensions": [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.5]]],
    "deep": [[[[[1.0]]], [[[2.0]]]]],
    "complex": [1 + 2j, -1.5 - 0.25j, 0j],
    "complex wide": [1e-6 + 1j, 1e5 - 1j],
    "complex nonfinite": [complex(np.nan, 1), complex(1, -np.inf)],
    "integers": [1, -20, 300],
    "flags": [True, False],
    "all true": [True, True],
}
SHAPES = [
    (),
    (0,),
    (2, 0),
    (0, 0, 3),
    (7,),
    (40,),
    (3, 30),
    (1001,),
    (2000, 2),
    (2, 3, 400),
    (60, 60),
    (11, 11, 11),
    (1, 1),
]


def same(make: Any, **options: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.set_printoptions(profile="default")
    with vh.printoptions(**options):
        torch.set_printoptions(**options)
        try:
            expected = repr(make(torch)).replace("torch.", "framework.")
            assert repr(make(vh)) == expected
        finally:
            torch.set_printoptions(profile="default")


@pytest.mark.oracle
@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    same(lambda m: m.tensor(VALUES[name]))
    if not isinstance(np.array(VALUES[name]).reshape(-1)[0], complex):
        same(lambda m: m.tensor(VALUES[name], dtype=m.float64))
        same(lambda m: m.tensor(VALUES[name], dtype=m.bfloat16))
    same(lambda m: m.tensor(VALUES[name]), precision=2)
    same(lambda m: m.tensor(VALUES[name]), sci_mode=True)
    same(lambda m: m.tensor(VALUES[name]), sci_mode=False)
    same(lambda m: m.tensor(VALUES[name]), linewidth=20)


@pytest.mark.oracle
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_types(kind: str, shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(1).standard_normal(shape) * 50
    same(lambda m: m.tensor(numbers).to(getattr(m, kind)))


@pytest.mark.oracle
@pytest.mark.parametrize("profile", ["default", "short", "full"])
def test_options(profile: str) -> None:
    numbers = np.random.default_rng(2).standard_normal((40, 30))
    same(lambda m: m.tensor(numbers), profile=profile)
    same(lambda m: m.tensor(numbers), edgeitems=1)
    same(lambda m: m.tensor(numbers[0]), threshold=5)
    same(lambda m: m.tensor(numbers), edgeitems=0)
    same(lambda m: m.tensor(numbers[0]), edgeitems=0, threshold=5)


@pytest.mark.oracle
def test_what_stands_behind_the_values() -> None:
    same(lambda m: m.ones(2, requires_grad=True))
    same(lambda m: m.ones(2, requires_grad=True) + 1)
    same(lambda m: m.ones(2, requires_grad=True).exp().sum())
    same(lambda m: m.nn.Parameter(m.arange(12.0).reshape(3, 4)))
    same(lambda m: m.tensor(numbers_of_a_line(), dtype=m.float64, requires_grad=True))
    same(lambda m: m.ones(2, dtype=m.float64, requires_grad=True) * 2)
    same(lambda m: [m.ones(2), (m.zeros(1),)])
    same(lambda m: f"{m.tensor(2.5):.1f} {m.ones(2)}")
    same(lambda m: str(m.arange(3)))


def numbers_of_a_line() -> list[float]:
    return [float(number) + 0.5 for number in range(8)]


@pytest.mark.oracle
def test_the_default_type_goes_unsaid() -> None:
    torch = pytest.importorskip("torch")
    try:
        for m in (torch, vh):
            m.set_default_dtype(m.float64)
        same(lambda m: [m.ones(2), m.ones(2, dtype=m.float32), m.tensor([1j])])
    finally:
        for m in (torch, vh):
            m.set_default_dtype(m.float32)


def test_a_subclass_prints_its_name() -> None:
    class Scan(vh.Tensor):
        pass

    assert repr(Scan([1.0, 2.0])) == "Scan([1., 2.])"


def test_options_are_restored_and_checked() -> None:
    before = vh.get_printoptions()
    with vh.printoptions(precision=1):
        assert repr(vh.tensor([0.25])) == "tensor([0.2])"
    assert vh.get_printoptions() == before
    with pytest.raises(ValueError, match="profile"):
        vh.set_printoptions(profile="long")
