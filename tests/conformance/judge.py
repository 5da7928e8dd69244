"""The probe of PyTorch's operator database, with a second opinion where PyTorch's own bits are not the measure.

    python tests/conformance/judge.py PROBE --module framework [the probe's options]

What the probe accepts passes. What it does not passes too, and is counted on its own as `apart`, where

- the op draws random numbers: ours are another stream (Philox), so that structure, shapes and types are compared and
  the values are left to the statistical tests;
- PyTorch's own rounding shows (it rounds half precision after every step): ours passes if it is, within the probe's
  tolerance, what PyTorch computes in float64 from the same numbers, rounded once;
- equal values are put in order: PyTorch's order is not stable by default; ours passes if it is its stable order.

Floating results of integers and booleans are compared within float32's tolerance; the probe wants equal bits there.
"""

import copy
import functools
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

NARROW = (torch.float16, torch.bfloat16, torch.float32)


def main(path: Path) -> int:
    """Run the probe at `path` with the rest of the command line; its JSON says `apart` of what the text above lists."""
    spec = importlib.util.spec_from_file_location("opinfo_probe", path)
    assert spec is not None
    assert spec.loader is not None
    probe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(probe)
    adapt(probe)
    return int(probe.main())


def adapt(probe: Any) -> None:
    """Give the probe its second opinion."""
    apart: dict[str, str] = {}
    run_sample, nondeterministic, report = probe.run_sample, probe.is_nondeterministic, probe.report
    flatten, identity, value = probe.flatten, probe.is_identity, probe.Candidate.value

    def judge(cand: Any, op: Any, fn: Any, sample: Any, *rest: Any) -> Any:
        try:
            return run_sample(cand, op, fn, sample, *rest)
        except probe.Mismatch:
            for reason, other in second_references(op, sample):
                try:
                    level = run_sample(cand, other, fn, sample, *rest)
                except probe.Mismatch:
                    continue
                apart[op.formatted_name] = reason
                return level
            raise

    def is_random(op: Any, sample: Any) -> bool:
        if RANDOM.get(op.name, never)(sample):
            apart[op.formatted_name] = "random numbers"
            return True
        return bool(nondeterministic(op, sample))

    def with_reason(row: dict[str, Any], arguments: Any) -> None:
        row["apart"] = apart.get(row["op"].partition(":")[2] or row["op"], "") if row["status"] == "pass" else ""
        report(row, arguments)

    def with_sizes(given: Any) -> list[Any]:  # a shape is one value, ours as torch's
        return [torch.Size(given)] if type(given).__name__ == "Size" else flatten(given)

    def is_identity(function: Any) -> bool:  # the comparison of eigenvectors leaves all but tuples as they are
        return identity(function) and function(pair := (torch.ones(1), torch.ones(1))) is pair

    def converted(cand: Any, given: Any, *rest: Any) -> Any:  # a function of torch as an argument becomes ours
        if isinstance(given, torch.nn.PairwiseDistance):
            return cand.resolve("nn.PairwiseDistance")()
        if isinstance(given, types.FunctionType | types.BuiltinFunctionType) and (place := probe.torch_path(given)):
            return cand.resolve(place)
        return value(cand, given, *rest)

    probe.run_sample, probe.is_nondeterministic, probe.report = judge, is_random, with_reason
    probe.flatten, probe.is_identity, probe.Candidate.value = with_sizes, is_identity, converted
    for integers in (torch.int64, torch.bool):
        probe.TOL[integers] = probe.TOL[torch.float32]


# -- random numbers ---------------------------------------------------------------------------------------------------


def never(sample: Any) -> bool:
    return False


def always(sample: Any) -> bool:
    return True


def drops(sample: Any) -> bool:
    """Attention with dropout."""
    return bool(sample.kwargs.get("dropout_p", 0) > 0)


def trains(sample: Any) -> bool:
    return bool(sample.kwargs.get("training", True))


def approximates(sample: Any) -> bool:
    """Low-rank factors by random projection, of a matrix of higher rank."""
    return sample.kwargs.get("M") is not None


DRAWN = (
    "bernoulli cauchy exponential geometric log_normal multinomial normal rand_like randint randint_like randn "
    "randn_like uniform nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d "
    "nn.functional.multi_head_attention_forward nn.functional.rrelu"
)
DROPPED = (
    "nn.functional.alpha_dropout nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d "
    "nn.functional.feature_alpha_dropout"
)
RANDOM: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(DRAWN.split(), always),
    **dict.fromkeys(DROPPED.split(), trains),
    "nn.functional.scaled_dot_product_attention": drops,
    "svd_lowrank": approximates,
}


# -- other references -------------------------------------------------------------------------------------------------


def stable_sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    return torch.sort(input, stable=True, dim=dim, descending=descending)


def stable_topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    values, places = torch.sort(input, stable=True, dim=dim, descending=largest)
    return (values.narrow(dim, 0, k), places.narrow(dim, 0, k)) if input.ndim else (values, places)


def stable_kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    values, places = torch.sort(input, stable=True, dim=dim)
    picked = [each.narrow(dim, k - 1, 1) if input.ndim else each for each in (values, places)]
    return picked if keepdim or not input.ndim else [each.squeeze(dim) for each in picked]


def last_mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """The values of torch.mode, each from its last place."""
    values = torch.mode(input, dim, True).values
    places = torch.arange(input.shape[dim]).reshape([-1 if n == dim % input.ndim else 1 for n in range(input.ndim)])
    last = torch.where(input == values, places, -1).amax(dim, True)
    found = (input.gather(dim, last), last)
    return found if keepdim else tuple(each.squeeze(dim) for each in found)


STABLE: dict[str, Callable[..., Any]] = {
    "sort": stable_sort,
    "argsort": lambda *args, **kwargs: stable_sort(*args, **kwargs).indices,
    "msort": lambda input: stable_sort(input, 0).values,
    "topk": stable_topk,
    "kthvalue": stable_kthvalue,
    "mode": last_mode,
}


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of torch on float64 copies of narrower floating tensors, its results rounded to their type."""

    @functools.wraps(function)
    def wide(*args: Any, **kwargs: Any) -> Any:
        kinds: list[Any] = []

        def widened(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.dtype not in NARROW:
                return tensor
            kinds.append(tensor.dtype)
            return tensor.double()

        def rounded(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(kinds[0]) if tensor.dtype == torch.float64 else tensor

        args, kwargs = pytree.tree_map_only(torch.Tensor, widened, (args, kwargs))
        result = function(*args, **kwargs)
        return pytree.tree_map_only(torch.Tensor, rounded, result) if kinds else result

    return wide


def second_references(op: Any, sample: Any) -> Iterator[tuple[str, Any]]:
    """What else ours may agree with: a name and an entry of the database with another function of torch."""
    leaves = pytree.tree_leaves((sample.input, sample.args, sample.kwargs))
    if op.name in STABLE:
        other = copy.copy(op)
        other.op = STABLE[op.name]
        yield "stable order", other
    elif any(isinstance(leaf, torch.Tensor) and leaf.dtype in NARROW for leaf in leaves):
        other = copy.copy(op)
        other.op = in_float64(op.op)
        yield "float64, rounded once", other


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv.pop(1))))
