"""From an image to a label map on the image's own grid."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipelines.predict.model import Model
from pipelines.preprocess import crop_to_body, darkest, from_network, standardise, to_grid, to_network

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
    if model.config.preprocessing.body_jitter is not None:
        least = model.config.training.patch_size[:2]
        prepared = crop_to_body(prepared, least, fill=model.card.intensity.window[0])
    inputs = to_network(standardise(prepared.array, model.card.intensity))
    probabilities = from_network(_probabilities(model, inputs, progress))
    values = [0, *model.card.labels.values()]
    labels = transforms.label_from_probabilities(probabilities, prepared, image, labels=values)
    return image.with_array(_clean(model, labels), units="label")


def _probabilities(model: Model, inputs: "np.ndarray[Any, Any]", progress: Progress | None) -> "np.ndarray[Any, Any]":
    """Class probabilities (C, Z, Y, X) of a standardised image (Z, Y, X)."""
    from medimg.inference import sliding_window

    x, y, z = model.config.training.patch_size
    inference = model.config.inference
    probabilities: np.ndarray[Any, Any] = sliding_window(
        model.network,
        inputs[None],
        (z, y, x),
        overlap=inference.overlap,
        batch_size=inference.batch_size,
        mirror_axes=sorted("zyx".index(axis) for axis in inference.mirror_axes),
        activation="softmax",
        pad_value=darkest(model.card.intensity),
        progress=progress,
    )
    return probabilities


def _clean(model: Model, labels: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    from medimg.postprocess import keep_largest_component

    choice = model.config.inference.keep_largest
    names = tuple(model.card.labels) if choice is True else choice or ()
    if not names:
        return labels
    return keep_largest_component(labels, [model.card.labels[name] for name in names])
