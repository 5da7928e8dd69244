"""What the browser gets is the study: the same values at the same places in the patient."""

import json
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.viewer import ShownStructure, encode_view
from medimg import ImageError, Volume

LIVER = ShownStructure(1, "Liver", "#E08A1E", 12.5)


def decode(data: bytes) -> tuple[dict[str, Any], NDArray[Any], NDArray[Any] | None]:
    """As the viewer does it: header, values, labels, arrays in RAS+ order."""
    assert data[:4] == b"VXV1"
    start = 8 + int.from_bytes(data[4:8], "little")
    header = json.loads(data[8:start])
    end = start + header["imageBytes"]
    stored = np.frombuffer(data[start:end], "<i2").reshape(header["shape"], order="F")
    labels = None
    if header["labelBytes"]:
        assert end + header["labelBytes"] == len(data)
        labels = np.frombuffer(zlib.decompress(data[end:]), np.uint8).reshape(header["shape"], order="F")
    else:
        assert end == len(data)
    return header, stored * header["slope"] + header["intercept"], labels


def ct(shape: tuple[int, int, int] = (12, 10, 8)) -> Volume:
    values = np.random.default_rng(3).integers(-1000, 1500, shape).astype(np.int16)
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = (-11.0, 22.0, -33.0)
    return Volume(values, affine, units="HU")


def test_hounsfield_units_arrive_unchanged() -> None:
    image = ct()
    header, values, labels = decode(encode_view(image, "a"))
    np.testing.assert_array_equal(values, image.array)
    np.testing.assert_array_equal(header["affine"], image.affine)
    assert labels is None
    assert header["spacing"] == [2.0, 3.0, 4.0]
    assert header["id"] == "a"


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
def test_any_orientation_shows_the_same_value_at_the_same_place(
    axes: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    matrix = np.zeros((4, 4))
    for index, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[axis, index] = sign * (1.0 + index)
    matrix[:, 3] = (5.0, -6.0, 7.0, 1.0)
    image = Volume(ct((5, 6, 7)).array, matrix, units="HU")
    labels = image.with_array((image.array > 200).astype(np.uint8), units="label")
    header, values, shown = decode(encode_view(image, "a", labels, [LIVER]))
    affine = np.array(header["affine"])
    assert (np.diag(affine)[:3] > 0).all()  # right, front and head are where indices grow
    assert shown is not None
    for voxel in np.ndindex(*image.shape):
        world = image.affine @ [*voxel, 1.0]
        place = tuple(np.rint(np.linalg.solve(affine, world)[:3]).astype(int))
        assert values[place] == image.array[voxel]
        assert shown[place] == labels.array[voxel]


def test_a_large_volume_is_reduced_and_stays_in_place() -> None:
    image = ct((40, 44, 9))
    labels = image.with_array(np.zeros(image.shape, np.uint8), units="label")
    labels.array[20:30, 10:20, 2:6] = 1
    header, values, shown = decode(encode_view(image, "a", labels, [LIVER], max_voxels=5000))
    assert values.size <= 5000
    assert "1/2 of the resolution" in header["grid"]
    assert header["shape"] == [20, 22, 9]  # the finest axes first
    expected = image.array.reshape(20, 2, 22, 2, 9).astype(float).mean(axis=(1, 3))
    np.testing.assert_allclose(values, expected, atol=0.51)
    # The block's centre lies half a voxel into the patient.
    np.testing.assert_allclose(np.array(header["affine"])[:3, 3], [-11.0 + 1.0, 22.0 + 1.5, -33.0])
    assert shown is not None
    np.testing.assert_array_equal(shown[10:15, 5:10, 2:6], 1)
    assert shown.sum() == 5 * 5 * 4


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0.0, 1.0, np.float32), (-3.5, 12.25, np.float64), (0.0, 60000.0, np.uint16), (1e-9, 3e-9, np.float32)],
)
def test_other_values_keep_five_digits(low: float, high: float, dtype: type) -> None:
    values = np.linspace(low, high, 6 * 7 * 8).reshape(6, 7, 8).astype(dtype)
    _, shown, _ = decode(encode_view(Volume(values, np.eye(4)), "a"))
    np.testing.assert_allclose(shown, values.astype(float), atol=(high - low) * 2e-5)


def test_a_flat_image_and_missing_values_can_be_shown() -> None:
    values = np.full((4, 4, 4), np.nan, np.float32)
    values[1] = 7.0
    _, shown, _ = decode(encode_view(Volume(values, np.eye(4)), "a"))
    assert shown[1].min() == pytest.approx(7.0, abs=0.01)
    header, shown, _ = decode(encode_view(Volume(np.full((4, 4, 4), 3, np.uint8), np.eye(4)), "a"))
    assert (shown == 3).all()
    assert header["focus"] == [[0, 3], [0, 3], [0, 3]]


def test_a_label_map_on_another_grid_is_refused() -> None:
    image = ct()
    shifted = image.affine.copy()
    shifted[0, 3] += 1.0
    labels = Volume(np.ones(image.shape, np.uint8), shifted, units="label")
    with pytest.raises(ImageError, match="grid"):
        encode_view(image, "a", labels, [LIVER])


def test_label_values_that_do_not_fit_are_refused() -> None:
    image = ct()
    with pytest.raises(ImageError, match="0 to 255"):
        encode_view(image, "a", image.with_array(np.full(image.shape, 300, np.int32), units="label"), [LIVER])


def test_the_crosshair_starts_inside_the_largest_structure() -> None:
    image = ct((20, 20, 20))
    array = np.zeros(image.shape, np.uint8)
    array[2:4, 2:4, 2:4] = 1
    array[8:18, 8:18, 10:16] = 2
    array[10:18, 10:18, 10:16] = 0  # an L: its middle lies outside of it
    spleen = ShownStructure(2, "Spleen", "#9A5FE0")
    absent = ShownStructure(3, "Aorta", "#D7263D")
    labels = image.with_array(array, units="label")
    header, _, shown = decode(encode_view(image, "a", labels, [LIVER, spleen, absent]))
    assert shown is not None
    assert shown[tuple(header["cursor"])] == 2
    assert [one["centre"] is None for one in header["structures"]] == [False, False, True]
    assert shown[tuple(header["structures"][0]["centre"])] == 1


def test_the_first_look_leaves_out_the_air_around_the_body() -> None:
    values = np.full((80, 80, 10), -1000, np.int16)
    values[20:60, 32:60, :] = 40
    header, _, _ = decode(encode_view(Volume(values, np.eye(4), units="HU"), "a"))
    assert header["focus"] == [[20, 59], [32, 59], [0, 9]]


def test_the_windows_of_ct_are_not_offered_for_other_images() -> None:
    values = np.random.default_rng(0).random((6, 6, 6)).astype(np.float32)
    header, _, _ = decode(encode_view(Volume(values, np.eye(4)), "a"))
    assert [preset["name"] for preset in header["presets"]] == ["Contrast", "Strong contrast", "Full range"]
    assert header["units"] == ""
