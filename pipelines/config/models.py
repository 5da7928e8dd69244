"""The configuration of a segmentation task: what is learnt from what, and how.

Triples are in the order of the axes of an RAS+ image: left to right, posterior to anterior, inferior to superior.
Lengths are in mm, intensities in the units of the image (HU for CT).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Triple = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class Section(BaseModel):
    """Common rules: unknown keys are refused, a configuration does not change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Case(Section):
    """One image with its label map."""

    image: str = Field(min_length=1, description="NIfTI, NRRD or DICOM (file, folder or zip)")
    label: str = Field(min_length=1, description="label map on the grid of the image (any axis order)")
    name: str | None = Field(
        default=None, min_length=1, description="how reports call the case; default: case and number"
    )
    series: str | None = Field(default=None, description="DICOM series UID where a folder holds several")
    labelled_slices: tuple[int, int] | None = Field(
        default=None,
        description="0-based half-open range of labelled axial slices, counted from the most inferior; "
        "the others are cut off before training",
    )
    weight: float = Field(
        default=1.0, gt=0, description="how often patches are drawn from this case, relative to the others"
    )
    joins_at: float = Field(
        default=0.0, ge=0, lt=1, description="share of the training that passes before the case joins in"
    )

    @field_validator("labelled_slices")
    @classmethod
    def _is_a_range(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError("should be two numbers [first, end] with 0 <= first < end")
        return value


class Folder(Section):
    """Cases found by file name: `{case}` stands for the part that image and label share."""

    path: str = Field(min_length=1)
    image: str = Field(default="images/{case}.nii.gz", description="for example imagesTr/{case}_0000.nii.gz")
    label: str = Field(default="labels/{case}.nii.gz", description="for example labelsTr/{case}.nii.gz")

    @field_validator("image", "label")
    @classmethod
    def _has_placeholder(cls, value: str) -> str:
        if value.count("{case}") != 1:
            raise ValueError("should contain {case} exactly once")
        return value


class Data(Section):
    """Where the training data lie: a list of cases or a folder with a pattern."""

    root: str | None = Field(
        default=None, description="what relative paths start from; default: the folder of this file"
    )
    label_names: str | None = Field(
        default=None, description="JSON file {label value: name}; structures can then name labels"
    )
    label_set: str | None = Field(
        default=None, description="key of the table inside label_names where the file holds several"
    )
    units: str | None = Field(
        default=None, description="of the images where their files do not say it, such as HU for CT"
    )
    cases: tuple[Case, ...] = ()
    folder: Folder | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        if bool(self.cases) == (self.folder is not None):
            raise ValueError("give either cases or folder, one of them")
        if self.cases and all(case.joins_at > 0 for case in self.cases):
            raise ValueError("no case is there from the beginning: one needs joins_at 0")
        return self


class Preprocessing(Section):
    """How an image becomes what the network sees; the numbers come from the training data where they are absent."""

    spacing: tuple[float, float, float] | None = Field(
        default=None, description="mm; absent: median of the training images"
    )
    window: tuple[float, float] | None = Field(
        default=None,
        description="intensities are clipped to it; absent: 0.5 and 99.5 percentile of the labelled voxels",
    )

    body_jitter: float | None = Field(
        default=None,
        ge=0,
        description="mm; for CT: patches and windows are centred on the body, patches up to this far off",
    )

    @field_validator("spacing")
    @classmethod
    def _is_positive(cls, value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if value is not None and not all(0.05 <= step <= 50 for step in value):
            raise ValueError("should be three lengths between 0.05 and 50 mm")
        return value

    @field_validator("window")
    @classmethod
    def _is_ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError("should be [low, high] with low < high")
        return value


class Network(Section):
    """A 3D U-Net: one entry a stage, from full resolution down."""

    features: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(
        default=(16, 32, 64, 128), min_length=2, max_length=8
    )
    strides: tuple[Triple, ...] = Field(
        default=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
        description="how much each stage shrinks; the first is [1, 1, 1]",
    )
    kernel_sizes: tuple[Triple, ...] | None = Field(default=None, description="absent: 3 in every direction")
    deep_supervision: bool = Field(
        default=True, description="also score the coarser outputs, with weights 1, 1/2, 1/4, ..."
    )

    @model_validator(mode="after")
    def _stages_agree(self) -> "Network":
        for key in ("strides", "kernel_sizes"):
            value = getattr(self, key)
            if value is not None and len(value) != len(self.features):
                raise ValueError(f"{key} has {len(value)} entries, features has {len(self.features)}: one a stage")
        if self.strides[0] != (1, 1, 1):
            raise ValueError("the first entry of strides should be [1, 1, 1]: the first stage keeps the resolution")
        return self

    @property
    def total_stride(self) -> tuple[int, int, int]:
        """How much the deepest stage is smaller than the patch, per axis."""
        total = [1, 1, 1]
        for stride in self.strides:
            total = [a * b for a, b in zip(total, stride, strict=True)]
        return (total[0], total[1], total[2])


class Optimizer(Section):
    """How weights are changed."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(default=0.01, gt=0, le=10)
    momentum: float = Field(default=0.99, ge=0, lt=1, description="SGD, in Nesterov's form")
    weight_decay: float = Field(default=3e-5, ge=0)


Range = tuple[float, float]
Probability = Annotated[float, Field(ge=0, le=1)]


class Augmentation(Section):
    """Random changes of the patches: a preset, and what differs from it (names as in `medimg.transforms.augment`)."""

    preset: Literal["none", "nnunet"] = "nnunet"
    mirror_axes: tuple[Literal["x", "y", "z"], ...] = Field(
        default=(), description="leave out x where left and right matter"
    )
    rotation: tuple[float, float, float] | None = Field(
        default=None, description="greatest angle about x, y, z in degrees"
    )
    rotation_probability: Probability | None = None
    scale: Range | None = None
    scale_probability: Probability | None = None
    elastic_mm: float | None = Field(default=None, ge=0)
    elastic_probability: Probability | None = None
    noise: Range | None = None
    noise_probability: Probability | None = None
    blur_probability: Probability | None = None
    brightness: Range | None = None
    brightness_probability: Probability | None = None
    contrast: Range | None = None
    contrast_probability: Probability | None = None
    low_resolution_probability: Probability | None = None
    gamma: Range | None = None
    gamma_probability: Probability | None = None
    gamma_inverted_probability: Probability | None = None


class Training(Section):
    """The training run. Its length is a number of iterations, so that a run is the same on every machine."""

    patch_size: Triple = (64, 64, 64)
    batch_size: int = Field(default=2, ge=1)
    iterations: int = Field(default=1000, ge=1)
    optimizer: Optimizer = Optimizer()
    warmup: int = Field(default=0, ge=0, description="iterations over which the learning rate rises from 0")
    schedule: Literal["poly", "cosine"] = Field(
        default="poly", description="fall of the learning rate: (1 - t) ** 0.9 or cosine"
    )
    gradient_clip: float | None = Field(default=12.0, gt=0, description="greatest norm of the gradient")
    foreground_fraction: float = Field(
        default=0.33, ge=0, le=1, description="part of the patches centred on a structure"
    )
    augmentation: Augmentation = Augmentation()
    average: float | None = Field(
        default=None, ge=0, lt=1, description="decay of a moving average of the weights; absent: none"
    )
    supervision_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        default=None, description="of the outputs from fine to coarse; absent: 1, 1/2, 1/4, ... and 0 for the coarsest"
    )
    dice_weight: float = Field(default=1.0, ge=0)
    dice_smooth: float = Field(default=1e-5, gt=0, description="added to numerator and denominator of Dice")
    cross_entropy_weight: float = Field(default=1.0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**63)
    checkpoint_every: int = Field(default=100, ge=1, description="iterations between checkpoints")
    log_every: int = Field(default=10, ge=1, description="iterations between lines of the logs")
    workers: int = Field(default=1, ge=0, le=64, description="threads that prepare patches")


class Inference(Section):
    """How a study is segmented. The window is the patch of the training: instance norm sees the same extent."""

    overlap: float = Field(default=0.5, ge=0, lt=1)
    mirror_axes: tuple[Literal["x", "y", "z"], ...] = Field(default=(), description="flips averaged at test time")
    batch_size: int = Field(default=1, ge=1)
    keep_largest: bool | tuple[str, ...] = Field(
        default=True, description="keep only the largest component: of every structure, of none, or of those named"
    )


class Config(Section):
    """A segmentation task, from data to inference."""

    name: Name = "task"
    structures: dict[Name, tuple[int | str, ...]] = Field(
        min_length=1,
        description="structure -> label values or names in the label maps (names may hold *); "
        "several labels become one structure; numbered 1, 2, ... in this order",
    )
    data: Data
    preprocessing: Preprocessing = Preprocessing()
    network: Network = Network()
    training: Training = Training()
    inference: Inference = Inference()

    @field_validator("structures", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if isinstance(value, dict):
            return {name: labels if isinstance(labels, list | tuple) else [labels] for name, labels in value.items()}
        return value

    @field_validator("structures")
    @classmethod
    def _is_disjoint(cls, value: dict[str, tuple[int | str, ...]]) -> dict[str, tuple[int | str, ...]]:
        owner: dict[int | str, str] = {}
        for name, labels in value.items():
            if not labels:
                raise ValueError(f"{name} has no label")
            for label in labels:
                if label in owner:
                    raise ValueError(f"label {label!r} stands in both {owner[label]} and {name}")
                if isinstance(label, int) and label <= 0:
                    raise ValueError(f"{name} has label {label}: labels are positive, 0 is the background")
                owner[label] = name
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        for size, total, axis in zip(self.training.patch_size, self.network.total_stride, "xyz", strict=True):
            if size % total:
                raise ValueError(
                    f"training.patch_size is {size} along {axis}, which {total}, the product of network.strides, "
                    f"does not divide; {max(size // total, 1) * total} would do"
                )
        weights, levels = self.training.supervision_weights, len(self.network.features) - 1
        if weights is not None and (len(weights) != levels or not any(weights)):
            raise ValueError(f"training.supervision_weights needs {levels} numbers, one an output, not all 0")
        if not isinstance(self.inference.keep_largest, bool):
            unknown = sorted(set(self.inference.keep_largest) - set(self.structures))
            if unknown:
                raise ValueError(f"inference.keep_largest names {unknown[0]}, which is not among the structures")
        named = any(isinstance(label, str) for labels in self.structures.values() for label in labels)
        if named and self.data.label_names is None:
            raise ValueError("structures name labels, so data.label_names must say which file gives their values")
        return self

    @property
    def labels(self) -> dict[str, int]:
        """The structures and the value each has in the label maps that the model writes."""
        return {name: value for value, name in enumerate(self.structures, start=1)}
