"""The default random stream under the names of `torch.random`."""

from framework.core.random import (
    default_generator,
    fork_rng,
    initial_seed,
    manual_seed,
    seed,
)
from framework.core.random import get_state as get_rng_state
from framework.core.random import set_state as set_rng_state

__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
