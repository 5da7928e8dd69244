"""A small segmentation task: two synthetic scans that a tiny network learns in seconds."""

import json
from pathlib import Path

import nibabel
import numpy as np
import yaml

Spacing = tuple[float, float, float]


def write_nifti(path: Path, array: np.ndarray, spacing: Spacing, flip: bool = False) -> None:
    """A NIfTI in mm; with `flip` its first axis runs to the patient's left, so that only the affine tells the sides."""
    affine = np.diag([*spacing, 1.0])
    if flip:
        affine[0, 3] = spacing[0] * (array.shape[0] - 1)
        affine[0, 0] = -spacing[0]
        array = array[::-1]
    image = nibabel.Nifti1Image(np.ascontiguousarray(array), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def make_scan(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image in HU and label map (24, 24, 16): a bright ball (label 5) left, a dim box (26 below, 27 above) right.

    The first axis runs to the patient's right, so the ball lies on the left.
    """
    stream = np.random.Generator(np.random.Philox(number))
    x, y, z = np.indices((24, 24, 16))
    ball = (x - 8) ** 2 + (y - 11 - number) ** 2 + (z - 8) ** 2 < 25
    box = (x >= 15) & (x < 21) & (abs(y - 12) < 5)
    label = np.where(ball, 5, 0)
    label[box] = np.where(z[box] < 8, 26, 27)
    image = -1000.0 + 1050 * (((x - 11.5) ** 2 + (y - 11.5) ** 2) < 130) + 90 * ball + 40 * box
    return (image + stream.normal(0, 8, image.shape)).astype(np.int16), label.astype(np.uint8)


def make_task(folder: Path) -> Path:
    """Write scans, label maps and a configuration into `folder`; returns the configuration's path."""
    for number in (1, 2):
        image, label = make_scan(number)
        write_nifti(folder / f"ct_{number}.nii.gz", image, (2.0, 2.0, 2.0), flip=number == 2)
        write_nifti(folder / f"seg_{number}.nii.gz", label, (2.0, 2.0, 2.0))
    (folder / "names.json").write_text(json.dumps({"set": {"5": "liver", "26": "vertebrae_L5", "27": "vertebrae_L4"}}))
    config = {
        "name": "tiny",
        "structures": {"liver": ["liver"], "vertebrae": ["vertebrae_*"]},
        "data": {
            "label_names": "names.json",
            "label_set": "set",
            "units": "HU",
            "cases": [
                {"image": "ct_1.nii.gz", "label": "seg_1.nii.gz", "labelled_slices": [0, 12]},
                {"image": "ct_2.nii.gz", "label": "seg_2.nii.gz", "name": "second"},
            ],
        },
        "preprocessing": {"spacing": [2.0, 2.0, 2.0]},
        "network": {"features": [4, 8], "strides": [[1, 1, 1], [2, 2, 2]]},
        "training": {
            "patch_size": [16, 16, 8],
            "batch_size": 1,
            "iterations": 12,
            "checkpoint_every": 4,
            "log_every": 3,
            "average": 0.9,
            "optimizer": {"lr": 0.01, "momentum": 0.9},
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
