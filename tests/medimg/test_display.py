import itertools

import numpy as np
import pytest

from medimg import ImageError, Volume
from medimg.display import (
    PLANES,
    apply_window,
    plane_layout,
    slice_count,
    slice_image,
    three_planes,
    voxel_at,
    window_of,
)
from medimg.structures import structure

BARE = {"letters": False, "scale_bar": False, "window": (127.5, 255.0)}
ORIENTATIONS = [
    (order, flips) for order in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)
]


def head(spacing=(1.0, 1.0, 1.0)):
    """A RAS volume of random grey, so that any flip or transposition changes a picture."""
    array = np.random.default_rng(7).integers(0, 256, (7, 9, 11)).astype(np.float32)
    return Volume(array, np.diag([*spacing, 1.0]))


def stored_as(volume, order, flips):
    """The same voxels at the same places, stored with permuted and reversed axes."""
    array = volume.array[:: flips[0], :: flips[1], :: flips[2]].transpose(order)
    turn = np.diag([*flips, 1.0])
    turn[:3, 3] = [0 if flip == 1 else size - 1 for flip, size in zip(flips, volume.shape)]
    permutation = np.eye(4)[:, [*order, 3]]
    return Volume(array, volume.affine @ turn @ permutation)


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_pictures_do_not_depend_on_how_voxels_are_stored(order, flips):
    volume = head((1.0, 2.0, 3.0))
    other = stored_as(volume, order, flips)
    place = volume.voxel_to_world([2, 3, 4])
    expected = three_planes(volume, place, space="mm", **BARE)
    found = three_planes(other, place, space="mm", **BARE)
    for plane in PLANES:
        np.testing.assert_array_equal(found[plane], expected[plane])
        assert plane_layout(other, plane).letters == plane_layout(volume, plane).letters


def test_radiological_convention():
    volume = head()
    grey = volume.array.astype(np.uint8)
    # RAS: index grows to the right, the front and the head.
    axial = slice_image(volume, "axial", 5, **BARE)[..., 0]
    np.testing.assert_array_equal(axial, grey[::-1, ::-1, 5].T)
    assert axial[0, 0] == grey[6, 8, 5]  # right and anterior at the upper left
    coronal = slice_image(volume, "coronal", 4, **BARE)[..., 0]
    np.testing.assert_array_equal(coronal, grey[::-1, 4, ::-1].T)
    sagittal = slice_image(volume, "sagittal", 3, **BARE)[..., 0]
    np.testing.assert_array_equal(sagittal, grey[3, ::-1, ::-1].T)
    assert plane_layout(volume, "axial").letters == ("R", "L", "A", "P")
    assert plane_layout(volume, "coronal").letters == ("R", "L", "S", "I")
    assert plane_layout(volume, "sagittal").letters == ("A", "P", "S", "I")


def test_neurological_convention_mirrors_axial_and_coronal_only():
    volume = head()
    for plane, mirrored in (("axial", True), ("coronal", True), ("sagittal", False)):
        radiological = slice_image(volume, plane, **BARE)
        neurological = slice_image(volume, plane, **BARE, convention="neurological")
        np.testing.assert_array_equal(neurological, radiological[:, ::-1] if mirrored else radiological)
    assert plane_layout(volume, "axial", "neurological").letters == ("L", "R", "A", "P")


def test_letters_of_an_oblique_volume():
    angle = np.radians(30)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = Volume(np.zeros((4, 4, 4)), affine)
    assert plane_layout(volume, "axial").letters == ("RA", "LP", "AL", "PR")


def test_letters_are_drawn_at_the_edges():
    volume = Volume(np.zeros((120, 120, 3)), np.eye(4))
    picture = slice_image(volume, "axial", window=(500, 100), scale_bar=False)[..., 0]
    bare = picture.copy()
    bare[40:80, :20] = bare[40:80, -20:] = bare[:20, 40:80] = bare[-20:, 40:80] = 0
    assert not bare.any()
    for part in (picture[40:80, :20], picture[40:80, -20:], picture[:20, 40:80], picture[-20:, 40:80]):
        assert (part > 100).sum() > 5
    # R and L are not the same letter.
    assert not np.array_equal(picture[40:80, :20], picture[40:80, -20:])


def test_pixels_are_square_and_of_one_size():
    volume = head((1.0, 1.0, 3.0))
    pictures = three_planes(volume, **BARE)
    assert {plane: picture.shape for plane, picture in pictures.items()} == {
        "axial": (9, 7, 3),
        "coronal": (33, 7, 3),
        "sagittal": (33, 9, 3),
    }
    assert slice_image(volume, "coronal", **BARE, pixel_mm=0.5).shape == (66, 14, 3)


def test_slice_numbers_are_array_indices():
    volume = stored_as(head(), (2, 0, 1), (1, -1, 1))
    for plane in PLANES:
        layout = plane_layout(volume, plane)
        assert slice_count(volume, plane) == volume.shape[layout.axis]
        picture = slice_image(volume, plane, 1, **BARE)[..., 0]
        np.testing.assert_array_equal(
            np.sort(picture, axis=None), np.sort(volume.array.take(1, layout.axis), axis=None)
        )
    with pytest.raises(ImageError, match="slices 0 to 10"):
        slice_image(volume, "axial", 11)
    with pytest.raises(ValueError, match="axial, coronal, sagittal"):
        slice_image(volume, "oblique")


def test_window_is_linear_between_its_ends():
    values = np.array([-1000.0, -140.0, -40.0, 60.0, 260.0, 3000.0, np.nan, np.inf])
    np.testing.assert_array_equal(apply_window(values, 60, 400), [0, 0, 64, 128, 255, 255, 0, 255])
    assert apply_window(np.array([0.25], np.float32), 0.5, 1.0) == [64]


def test_windows():
    ct = Volume(np.zeros((3, 3, 3), np.int16), np.eye(4), "HU")
    assert window_of(ct) == (60.0, 400.0)
    assert window_of(ct, "lung") == (-600.0, 1500.0)
    assert window_of(ct, (40, 80)) == (40.0, 80.0)
    with pytest.raises(ValueError, match="abdomen"):
        window_of(ct, "belly")
    with pytest.raises(ValueError, match="width above zero"):
        window_of(ct, (40, 0))
    mr = Volume(np.concatenate([np.zeros(500), np.arange(1, 1001)]).reshape(10, 15, 10), np.eye(4))
    level, width = window_of(mr)
    low, high = np.percentile(np.arange(1, 1001), (1, 99))
    assert (level - width / 2, level + width / 2) == pytest.approx((low, high))


@pytest.mark.parametrize("value", [0, 5, np.nan])
def test_a_flat_image_has_a_window(value):
    volume = Volume(np.full((3, 3, 3), value), np.eye(4))
    assert slice_image(volume, "axial").shape == (3, 3, 3)


def test_overlay_fill_and_outline():
    volume = Volume(np.full((9, 9, 3), 100.0), np.eye(4))
    labels = np.zeros(volume.shape, np.uint8)
    labels[2:7, 2:7, 1] = 5
    style = {**BARE, "names": {5: "liver"}}
    liver = np.array(structure("liver").colour)
    filled = slice_image(volume, "axial", 1, labels, alpha=0.5, outline=False, **style)
    np.testing.assert_allclose(filled[4, 4], (liver + 100) / 2, atol=1)
    np.testing.assert_array_equal(filled[0, 0], [100, 100, 100])
    outlined = slice_image(volume, "axial", 1, labels, alpha=0.0, **style)
    np.testing.assert_array_equal(outlined[2, 2:7], np.tile(liver, (5, 1)))
    np.testing.assert_array_equal(outlined[4, 4], [100, 100, 100])
    assert (outlined != 100).any(axis=2).sum() == 16
    assert not (slice_image(volume, "axial", 0, labels, **style) != 100).any()
    own = slice_image(volume, "axial", 1, labels, alpha=1.0, colours={5: (1, 2, 3)}, **style)
    np.testing.assert_array_equal(own[4, 4], [1, 2, 3])


def test_a_second_label_map_is_outlined_in_white():
    volume = Volume(np.full((9, 9, 3), 100.0), np.eye(4))
    truth = np.zeros(volume.shape, np.uint8)
    truth[3:8, 3:8] = 1
    picture = slice_image(volume, "axial", 1, None, border=truth, **BARE)
    white = (picture == 255).all(axis=2)
    assert white.sum() == 16
    assert not white[3, 3]
    assert (picture[~white] == 100).all()


def test_overlay_lies_on_what_it_labels():
    """Label = bright voxels: in every plane and at every scale, bright pixels are coloured and dark ones are not."""
    array = np.zeros((20, 24, 10))
    array[3:9, 13:20, 2:6] = 255
    affine = np.diag([-1.0, 1.3, 3.1, 1.0])
    volume = Volume(array, affine)
    labels = volume.with_array((array > 0).astype(np.int32), "label")
    for plane, mm in itertools.product(PLANES, (None, 0.4)):
        index = int(np.argwhere(array)[0][plane_layout(volume, plane).axis])
        plain = slice_image(volume, plane, index, pixel_mm=mm, **BARE)[..., 0]
        drawn = slice_image(volume, plane, index, labels, pixel_mm=mm, alpha=1.0, **BARE)
        coloured = drawn[..., 0] != drawn[..., 1]
        # Between them lies the half pixel over which interpolation blurs the edge.
        assert coloured[plain > 195].all()
        assert not coloured[plain < 60].any()
        assert coloured.sum() == pytest.approx((plain > 127).sum(), rel=0.06)


def test_labels_of_another_grid_are_refused():
    volume = head()
    with pytest.raises(ImageError, match="resample_to"):
        slice_image(volume, "axial", labels=np.zeros((7, 9, 12), np.uint8))
    moved = volume.affine.copy()
    moved[0, 3] += 1
    with pytest.raises(ImageError, match="another affine"):
        slice_image(volume, "axial", labels=Volume(np.zeros(volume.shape, np.uint8), moved))
    with pytest.raises(ImageError, match="integers"):
        slice_image(volume, "axial", labels=volume)


def test_positions():
    volume = Volume(np.zeros((10, 20, 30)), np.diag([2.0, 2.0, 2.0, 1.0]))
    assert voxel_at(volume) == (5, 10, 15)
    assert voxel_at(volume, (1, 2.4, 3)) == (1, 2, 3)
    assert voxel_at(volume, (2, 4, 6.9), space="mm") == (1, 2, 3)
    with pytest.raises(ImageError, match="outside the volume"):
        voxel_at(volume, (1, 2, 30))
    with pytest.raises(ValueError, match="three numbers"):
        voxel_at(volume, (1, 2))


def test_field_of_view_is_centred_and_stays_inside():
    volume = Volume(np.full((30, 30, 30), 50.0), np.eye(4))
    volume.array[12, 17, 15] = 255
    picture = slice_image(volume, "axial", 15, about=(12, 17, 15), field_mm=11, **BARE)[..., 0]
    assert picture.shape == (11, 11)
    assert picture[5, 5] == 255
    at_edge = slice_image(volume, "axial", 15, about=(29, 17, 15), field_mm=21, **BARE)[..., 0]
    assert at_edge.shape == (21, 21)
    np.testing.assert_array_equal(at_edge, slice_image(volume, "axial", 15, **BARE)[2:23, :21, 0])
    flat = Volume(volume.array[:, :, :8], np.eye(4))
    assert slice_image(flat, "coronal", field_mm=20, **BARE).shape == (8, 20, 3)


def test_scale_bar_has_the_length_that_it_says():
    volume = Volume(np.zeros((200, 150, 3)), np.diag([0.8, 0.8, 5.0, 1.0]))
    picture = slice_image(volume, "axial", window=(500, 100), letters=False, pixel_mm=0.4)[..., 0]
    # 160 mm wide: the longest round length in a quarter is 20 mm.
    runs = (picture[-40:] == 235).sum(axis=1)
    assert runs.max() == 50


def test_crosshair_leaves_its_centre_free():
    volume = Volume(np.full((101, 101, 3), 80.0), np.eye(4))
    picture = slice_image(volume, "axial", 1, about=(50, 50, 1), crosshair=True, **BARE)
    changed = (picture != 80).any(axis=2)
    assert changed[50, :40].all()
    assert changed[:40, 50].all()
    assert not changed[48:53, 48:53].any()
    assert not changed[:49, :49].any()


def test_nothing_is_written_to_the_inputs():
    volume = head()
    labels = (volume.array > 128).astype(np.uint8)
    before, labels_before = volume.array.copy(), labels.copy()
    three_planes(volume, labels=labels, crosshair=True)
    np.testing.assert_array_equal(volume.array, before)
    np.testing.assert_array_equal(labels, labels_before)


def test_pictures_are_the_same_bytes_each_time():
    volume = head()
    one, other = (slice_image(volume, "sagittal", pixel_mm=0.1) for _ in range(2))
    np.testing.assert_array_equal(one, other)
