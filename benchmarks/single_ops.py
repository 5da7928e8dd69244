"""Single operations at 2 x 32 x 64^3, forward and backward, and an optimizer's step, beside torch.

    python benchmarks/single_ops.py [--only pool]

The fewest bytes are those of reading the input and the output's gradient and writing the output and the input's.
torch runs in the memory format in which each operation is fastest for it.
"""

from collections.abc import Callable
from typing import Any

import peer

SHAPE = (2, 32, 64, 64, 64)
SIZE = 4 * 2 * 32 * 64**3


def operation(library: str, apply: Callable[[Any, Any], Any], last: bool) -> Callable[[], Any]:
    """The call that runs an operation and its backward on one input; `last`: torch's input lies channels-last."""
    import importlib

    module = importlib.import_module(library)
    functional = importlib.import_module(f"{library}.nn.functional")
    module.manual_seed(0)
    x = module.randn(*SHAPE)
    if last or library == "framework":  # the layout in which our convolutions leave their results
        x = x.to(memory_format=module.channels_last_3d)
    x.requires_grad_()
    out = apply(functional, x)
    grad = module.ones_like(out)

    def run() -> None:
        x.grad = None
        apply(functional, x).backward(grad)

    return run


def adamw(library: str) -> Callable[[], Any]:
    """A step over 200 tensors, 30 million parameters."""
    import importlib

    module = importlib.import_module(library)
    parameters = [module.randn(150_000).requires_grad_() for _ in range(200)]
    for parameter in parameters:
        parameter.grad = module.randn(150_000)
    foreach = {} if library == "framework" else {"fused": True}
    optimizer = module.optim.AdamW(parameters, lr=1e-3, **foreach)
    return optimizer.step


OPERATIONS: dict[str, tuple[Callable[[Any, Any], Any], bool, float]] = {
    "instance norm": (lambda f, x: f.instance_norm(x), False, 4),
    "group norm, 8 groups": (lambda f, x: f.group_norm(x, 8), False, 4),
    "leaky ReLU": (lambda f, x: f.leaky_relu(x), False, 4),
    "max pool 2": (lambda f, x: f.max_pool3d(x, 2), True, 2.25),
    "average pool 2": (lambda f, x: f.avg_pool3d(x, 2), True, 2.25),
    "softmax over channels": (lambda f, x: f.softmax(x, 1), False, 4),
    "instance norm, leaky ReLU": (lambda f, x: f.leaky_relu(f.instance_norm(x)), False, 4),
}


def trilinear(library: str) -> Callable[[], Any]:
    """Twice the size in each dimension, from 2 x 32 x 32^3 to 2 x 32 x 64^3."""
    import importlib

    module = importlib.import_module(library)
    functional = importlib.import_module(f"{library}.nn.functional")
    x = module.randn(2, 32, 32, 32, 32).to(memory_format=module.channels_last_3d).requires_grad_()
    grad = module.ones(*SHAPE).to(memory_format=module.channels_last_3d)

    def run() -> None:
        x.grad = None
        functional.interpolate(x, scale_factor=2, mode="trilinear").backward(grad)

    return run


def main() -> None:
    options = peer.arguments(__doc__).parse_args()
    works = [
        peer.Work(
            name,
            lambda a=apply, last=last: operation("framework", a, last),
            lambda a=apply, last=last: operation("torch", a, last),
            bytes=passes * SIZE,
        )
        for name, (apply, last, passes) in OPERATIONS.items()
    ]
    works.append(
        peer.Work("trilinear x2", lambda: trilinear("framework"), lambda: trilinear("torch"), bytes=2.25 * SIZE)
    )
    works.append(
        peer.Work("AdamW, 200 tensors, 30 M", lambda: adamw("framework"), lambda: adamw("torch"), bytes=7 * 4 * 30e6)
    )
    peer.run(works, options)


if __name__ == "__main__":
    main()
