"""Modules as functions of their parameters: what `grad` and `vmap` are applied to."""

from collections.abc import Sequence
from typing import Any

from framework.core.tensor import Tensor


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of models of one class, each stacked along a new first dimension for `vmap`.

    The stacked parameters are leaves that require gradients where the models' do.
    """
    from framework.ops.shape import stack

    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(model.training for model in models) or not any(model.training for model in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(model) is not type(models[0]) for model in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(tensors: list[Tensor], name: str) -> Tensor:
        required = {tensor.requires_grad for tensor in tensors}
        if len(required) > 1:
            raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
        return stack([tensor.detach() for tensor in tensors]).requires_grad_(required.pop())

    params = [dict(model.named_parameters()) for model in models]
    buffers = [dict(model.named_buffers()) for model in models]
    return (
        {name: stacked([each[name] for each in params], name) for name in params[0]},
        {name: stacked([each[name] for each in buffers], name) for name in buffers[0]},
    )
