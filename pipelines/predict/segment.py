"""From an image to a label map on the image's own grid."""

from collections.abc import Callable
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

from pipelines.predict.model import Model
from pipelines.preprocess import from_network, standardise, to_grid, to_network

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume

Progress = Callable[[int, int], None]


def segment(model: Model, image: "Volume", progress: Progress | None = None) -> "Volume":
    """Label map (values of `model.card.labels`) of an image, on the image's grid.

    Windows have the size of the training patches, because instance norm adapts to what it sees; they overlap, are
    weighted by a Gaussian, and their probabilities are averaged over the mirrorings of the configuration.
    Probabilities are interpolated to the image's grid before the best structure is chosen. Then only the largest
    component of each structure is kept, where the configuration asks for it.
    """
    from medimg import transforms

    prepared = to_grid(image, model.card.spacing)
    inputs = to_network(standardise(prepared.array, model.card.intensity))
    probabilities = from_network(_probabilities(model, inputs, progress))
    values = [0, *model.card.labels.values()]
    labels = transforms.label_from_probabilities(probabilities, prepared, image, labels=values)
    return image.with_array(_clean(model, labels), units="label")


def _probabilities(model: Model, inputs: "np.ndarray[Any, Any]", progress: Progress | None) -> "np.ndarray[Any, Any]":
    """Class probabilities (C, Z, Y, X) of a standardised image (Z, Y, X)."""
    import framework
    from framework.nn import functional
    from medimg.inference import sliding_window

    axes = [{"z": 2, "y": 3, "x": 4}[name] for name in model.config.inference.mirror_axes]
    flips = list(chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1)))
    x, y, z = model.config.training.patch_size

    def predictor(windows: Any) -> Any:
        total = None
        for flip in flips:
            scores = model.network(framework.flip(windows, flip) if flip else windows)
            scores = functional.softmax(scores, dim=1)
            scores = framework.flip(scores, flip) if flip else scores
            total = scores if total is None else total + scores
        return total if len(flips) == 1 else total / len(flips)

    with framework.no_grad():
        return sliding_window(
            inputs[None, None],
            (z, y, x),
            predictor,
            overlap=model.config.inference.overlap,
            batch_size=model.config.inference.batch_size,
            progress=progress,
        )[0]


def _clean(model: Model, labels: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    from medimg.postprocess import keep_largest_component

    choice = model.config.inference.keep_largest
    names = tuple(model.card.labels) if choice is True else choice or ()
    if not names:
        return labels
    return keep_largest_component(labels, [model.card.labels[name] for name in names])
