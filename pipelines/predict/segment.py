"""From an image to a label map on the image's own grid."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.predict.model import Model
from pipelines.preprocess import crop_to_body, darkest, from_network, standardise, to_grid, to_network

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume

Progress = Callable[[int, int], None]

# A slice with fewer voxels of a structure says little about how sure the model is of it.
LEAST_VOXELS = 20


@dataclass(frozen=True)
class Doubt:
    """The axial slice, by a place in it (RAS+ mm), where a model is least sure of a structure.

    `probability` is the mean that the model gives the structure over its own voxels there.
    """

    structure: str
    place: tuple[float, float, float]
    probability: float


@dataclass(frozen=True)
class Segmentation:
    """A label map on the image's grid, and where to look twice, the least sure first."""

    labels: "Volume"
    doubts: tuple[Doubt, ...]


def segment(
    model: Model,
    image: "Volume",
    progress: Progress | None = None,
    settled: "np.ndarray[Any, Any] | None" = None,
) -> Segmentation:
    """Label map (values of `model.card.labels`) of an image, on the image's grid.

    Windows have the size of the training patches, because instance norm adapts to what it sees; they overlap, are
    weighted by a Gaussian, and their probabilities are averaged over the mirrorings of the configuration.
    Probabilities are interpolated to the image's grid before the best structure is chosen. Then only the largest
    component of each structure is kept, where the configuration asks for it. Voxels of the image that are `settled`,
    such as slices contoured by hand, raise no doubts.
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
    cleaned = image.with_array(_clean(model, labels), units="label")
    return Segmentation(cleaned, _doubts(model, probabilities, prepared, image, settled))


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


def _doubts(
    model: Model,
    probabilities: "np.ndarray[Any, Any]",
    prepared: "Volume",
    image: "Volume",
    settled: "np.ndarray[Any, Any] | None",
) -> tuple[Doubt, ...]:
    """For each structure the axial slice of the network's grid with the lowest mean probability."""
    import numpy as np

    best = probabilities.argmax(axis=0)
    found = []
    for channel, name in enumerate(model.card.labels, start=1):
        mask = best == channel
        count = mask.sum(axis=(0, 1))
        total = np.where(mask, probabilities[channel], 0).sum(axis=(0, 1), dtype=np.float64)
        sure = total / np.maximum(count, 1)
        for index in sorted(np.flatnonzero(count >= LEAST_VOXELS), key=sure.__getitem__):
            x, y = np.argwhere(mask[:, :, index]).mean(axis=0)
            place = prepared.voxel_to_world([x, y, index])
            if settled is None or not settled[nearest_voxel(image, place)]:
                found.append(Doubt(name, (float(place[0]), float(place[1]), float(place[2])), float(sure[index])))
                break
    return tuple(sorted(found, key=lambda doubt: doubt.probability))


def nearest_voxel(image: "Volume", place: Any) -> tuple[int, int, int]:
    """The voxel of an image nearest to a place in RAS+ mm."""
    import numpy as np

    index = np.clip(np.rint(image.world_to_voxel(place)), 0, np.array(image.shape) - 1)
    return (int(index[0]), int(index[1]), int(index[2]))


def _clean(model: Model, labels: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    from medimg.postprocess import keep_largest_component

    choice = model.config.inference.keep_largest
    names = tuple(model.card.labels) if choice is True else choice or ()
    if not names:
        return labels
    return keep_largest_component(labels, [model.card.labels[name] for name in names])
