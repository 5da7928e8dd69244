"""The training loop: network, loss, optimizer and learning rate, advanced one batch at a time."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.config import Config

if TYPE_CHECKING:
    from framework import Tensor

NetworkTriple = tuple[int, int, int]
POLY_POWER = 0.9


def build_network(config: Config) -> Any:
    """The U-Net of a configuration: one input channel, background and structures out; axes (N, C, z, y, x)."""
    from medimg.networks import UNet

    network = config.network
    kernels = network.kernel_sizes or ((3, 3, 3),) * len(network.features)
    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=len(config.structures) + 1,
        features=network.features,
        strides=[_reversed(stride) for stride in network.strides],
        kernel_sizes=[_reversed(kernel) for kernel in kernels],
        deep_supervision=network.deep_supervision,
    )


def learning_rate(config: Config, iteration: int) -> float:
    """Rate of an iteration (from 0): linear warm-up, then polynomial decay (nnU-Net's power 0.9) or half a cosine."""
    training = config.training
    if iteration < training.warmup:
        return training.optimizer.lr * (iteration + 1) / training.warmup
    passed = (iteration - training.warmup) / max(training.iterations - training.warmup, 1)
    fall = (1 - passed) ** POLY_POWER if training.schedule == "poly" else 0.5 * (1 + math.cos(math.pi * passed))
    return training.optimizer.lr * fall


class Trainer:
    """Holds everything that changes during training; `state` and `load_state` move all of it to and from disk."""

    def __init__(self, config: Config) -> None:
        import framework

        self.config = config
        framework.manual_seed(config.training.seed)
        self.network = build_network(config)
        self.network.train()
        self.optimizer = _build_optimizer(config, list(self.network.parameters()))
        self.loss = _build_loss(config)
        self.average = WeightAverage(self.network, config.training.average) if config.training.average else None
        self.iteration = 0

    def rate(self) -> float:
        """Learning rate of the coming iteration."""
        return learning_rate(self.config, self.iteration)

    def step(self, images: "Tensor", labels: "Tensor") -> tuple[float, "Tensor"]:
        """One iteration on patches (N, 1, X, Y, Z) and (N, X, Y, Z); returns the loss and the class scores.

        Raises FloatingPointError where the loss is not finite; the weights are left as they were.
        """
        from framework.nn.utils import clip_grad_norm_

        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.zero_grad()
        outputs = self.network(images.transpose(-1, -3).contiguous())
        loss = self.loss(outputs, labels.transpose(-1, -3).contiguous())
        value = float(loss.item())
        if not math.isfinite(value):
            raise FloatingPointError
        loss.backward()
        if self.config.training.gradient_clip is not None:
            clip_grad_norm_(self.network.parameters(), self.config.training.gradient_clip)
        self.optimizer.step()
        self.iteration += 1
        if self.average is not None:
            self.average.update()
        return value, outputs[0] if isinstance(outputs, list | tuple) else outputs

    def state(self) -> dict[str, Any]:
        """Everything that the coming iterations depend on."""
        import framework.core.random

        return {
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": framework.core.random.get_state(),
            "average": self.average.state() if self.average is not None else None,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        import framework.core.random

        self.iteration = int(state["iteration"])
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        framework.core.random.set_state(state["random"])
        if self.average is not None:
            self.average.load_state(state["average"])

    def weights(self) -> Mapping[str, "Tensor"]:
        """The weights that prediction uses: the average where one is kept."""
        return self.average.weights() if self.average is not None else self.network.state_dict()


class WeightAverage:
    """Exponential moving average of the weights, which predicts more steadily than the last iterate."""

    def __init__(self, network: Any, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._updates = 0
        self.arrays = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}

    def update(self) -> None:
        """Move towards the present weights; early on the decay is smaller, so the start does not linger."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for name, value in self._network.state_dict().items():
            kept, new = self.arrays[name], value.detach().numpy()
            kept *= kept.dtype.type(decay)
            kept += new * new.dtype.type(1 - decay)

    def state(self) -> dict[str, Any]:
        return {"updates": self._updates, "arrays": self.arrays}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._updates = int(state["updates"])
        self.arrays = {name: array.copy() for name, array in state["arrays"].items()}

    def weights(self) -> dict[str, Any]:
        import framework

        return {name: framework.from_numpy(array) for name, array in self.arrays.items()}


def _build_loss(config: Config) -> Any:
    """Dice over the structures plus cross-entropy, at every level of the network where it has several outputs."""
    from medimg.data import IGNORE
    from medimg.losses import DeepSupervisionLoss, DiceCELoss

    training, levels = config.training, len(config.network.features) - 1
    loss = DiceCELoss(
        include_background=False,
        ignore_index=IGNORE,
        smooth=(training.dice_smooth, training.dice_smooth),
        dice_weight=training.dice_weight,
        ce_weight=training.cross_entropy_weight,
    )
    if not config.network.deep_supervision:
        return loss
    halves = [0.5**level for level in range(levels)]
    usual = [*halves[:-1], 0.0] if levels > 1 else halves
    return DeepSupervisionLoss(loss, training.supervision_weights or usual)


def _build_optimizer(config: Config, parameters: list[Any]) -> Any:
    """SGD as nnU-Net has it, or AdamW, which does not decay biases and the scales of norms."""
    from framework import optim

    choice = config.training.optimizer
    if choice.name == "adamw":
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": choice.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return optim.AdamW(groups, lr=choice.lr)
    momentum = choice.momentum
    return optim.SGD(
        parameters, lr=choice.lr, momentum=momentum, nesterov=momentum > 0, weight_decay=choice.weight_decay
    )


def _reversed(triple: NetworkTriple) -> NetworkTriple:
    x, y, z = triple
    return (z, y, x)
