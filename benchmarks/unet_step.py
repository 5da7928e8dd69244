"""A training step of a 5.6-million-parameter U-Net on 2 x 1 x 64^3, beside torch in channels-last memory.

    python benchmarks/unet_step.py [--repeats 5] [--bfloat16] [--memory]

Widths 32-64-128-256, two blocks of convolution, instance norm and leaky ReLU a level, strided convolution down,
transposed convolution up, 4 classes, cross entropy, SGD with Nesterov momentum; about 660 GFLOP. With --memory each
contestant runs three steps in a process of its own, and the peaks of resident memory are compared.
"""

import sys
from collections.abc import Callable
from typing import Any

import peer

FEATURES = (32, 64, 128, 256)
SHAPE = (2, 1, 64, 64, 64)
FLOP = 660e9


def ours(lower: bool = False) -> Callable[[], Any]:
    import framework
    from medimg.networks import UNet

    framework.manual_seed(0)
    network = UNet(3, 1, 4, FEATURES, (1, 2, 2, 2))
    optimizer = framework.optim.SGD(network.parameters(), lr=1e-2, momentum=0.99, nesterov=True)
    x = framework.randn(*SHAPE)
    y = framework.randint(0, 4, (SHAPE[0], *SHAPE[2:]))

    def step() -> None:
        optimizer.zero_grad()
        with framework.autocast("cpu", framework.bfloat16, enabled=lower):
            loss = framework.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()

    return step


def theirs(lower: bool = False) -> Callable[[], Any]:
    import torch

    torch.manual_seed(0)
    network = torch_unet().to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2, momentum=0.99, nesterov=True, foreach=True)
    x = torch.randn(*SHAPE).to(memory_format=torch.channels_last_3d)
    y = torch.randint(0, 4, (SHAPE[0], *SHAPE[2:]))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            loss = torch.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()

    return step


def torch_unet() -> Any:
    """The same network in torch."""
    from torch import Tensor, cat, nn

    def block(channels: int, features: int, stride: int = 1) -> nn.Module:
        return nn.Sequential(
            nn.Conv3d(channels, features, 3, stride, 1),
            nn.InstanceNorm3d(features, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        )

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            before = (1, *FEATURES)
            self.down = nn.ModuleList(
                nn.Sequential(block(before[n], width, 1 if n == 0 else 2), block(width, width))
                for n, width in enumerate(FEATURES)
            )
            levels = list(range(len(FEATURES) - 2, -1, -1))
            self.up = nn.ModuleList(nn.ConvTranspose3d(FEATURES[n + 1], FEATURES[n], 2, 2) for n in levels)
            self.join = nn.ModuleList(
                nn.Sequential(block(2 * FEATURES[n], FEATURES[n]), block(FEATURES[n], FEATURES[n])) for n in levels
            )
            self.head = nn.Conv3d(FEATURES[0], 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            skips = []
            for stage in self.down:
                x = stage(x)
                skips.append(x)
            skips.pop()
            for up, join in zip(self.up, self.join):
                x = join(cat([up(x), skips.pop()], 1))
            return self.head(x)

    return Network()


def main() -> None:
    parser = peer.arguments(__doc__)
    parser.add_argument("--bfloat16", action="store_true", help="under autocast to bfloat16, both")
    parser.add_argument("--memory", action="store_true", help="compare peak memory instead of time")
    parser.add_argument("--alone", choices=("ours", "torch"), help="run three steps of one contestant and stop")
    options = parser.parse_args()
    lower = options.bfloat16
    if options.alone:
        step = (ours if options.alone == "ours" else theirs)(lower)
        for _ in range(3):
            step()
    elif options.memory:
        peer.compare_memory(sys.argv[0], *["--bfloat16"] * lower)
    else:
        name = f"U-Net step, {'bfloat16' if lower else 'float32'}"
        peer.run([peer.Work(name, lambda: ours(lower), lambda: theirs(lower), FLOP)], options)


if __name__ == "__main__":
    main()
