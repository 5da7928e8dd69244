"""NRRD: spaces, units, 4-D, damage, and writing that reads back."""

import bz2
import gzip
import hashlib
import tracemalloc

import nrrd
import numpy as np
import pytest

import medimg
from medimg import ImageError, Volume
from medimg.io import write_nrrd

DIRECTIONS = np.array([[0.7, 0.1, 0.0], [-0.1, 0.9, 0.2], [0.0, -0.3, 2.5]])  # one axis a row, as in the file
ORIGIN = np.array([-100.5, 33.25, 71.125])


def noise(shape=(5, 6, 7), dtype=np.int16) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, shape).astype(dtype)


def save(tmp_path, array, name="x.nrrd", **header):
    header = {"space": "left-posterior-superior", "space directions": DIRECTIONS, "space origin": ORIGIN, **header}
    path = tmp_path / name
    nrrd.write(str(path), array, {key: value for key, value in header.items() if value is not None}, index_order="F")
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_values_and_hash(tmp_path, encoding, dtype):
    array = noise(dtype=dtype)
    path = save(tmp_path, array, encoding=encoding)
    volume = medimg.read(path)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == dtype
    assert volume.provenance.format == "nrrd"
    assert volume.provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
    ],
)
def test_every_space_becomes_ras(tmp_path, space, signs):
    volume = medimg.read(save(tmp_path, noise(), space=space))
    for index in ((0, 0, 0), (4, 5, 6), (1, 2, 3)):
        expected = (ORIGIN + np.array(index) @ DIRECTIONS) * signs
        np.testing.assert_allclose(volume.voxel_to_world(index), expected, atol=1e-9)


def test_units_of_the_space(tmp_path):
    volume = medimg.read(save(tmp_path, noise(), **{"space units": ["cm", "cm", "cm"]}))
    np.testing.assert_allclose(volume.spacing, 10 * np.linalg.norm(DIRECTIONS, axis=1))


def test_no_space_is_refused_or_assumed(tmp_path):
    path = save(tmp_path, noise(), **{"space": None, "space directions": None, "space origin": None})
    with pytest.raises(ImageError, match=r"left and right are unknown.*assume_geometry=True"):
        medimg.read(path)
    assert medimg.read(path, assume_geometry=True).axcodes == "RAS"


def test_spacings_without_a_space_are_used_when_assumed(tmp_path):
    header = {"space": None, "space directions": None, "space origin": None, "spacings": [1.5, 2.0, 3.0]}
    assert medimg.read(save(tmp_path, noise(), **header), assume_geometry=True).spacing == (1.5, 2, 3)


def test_4d_asks_for_an_index_wherever_the_fourth_axis_is(tmp_path):
    array = noise((3, 5, 6, 7))
    directions = np.vstack([np.full(3, np.nan), DIRECTIONS])
    path = save(tmp_path, array, **{"space directions": directions, "kinds": ["list", "domain", "domain", "domain"]})
    with pytest.raises(ImageError, match="3 volumes, index 0 to 2"):
        medimg.read(path)
    volume = medimg.read(path, index=1)
    np.testing.assert_array_equal(volume.array, array[1])
    np.testing.assert_allclose(volume.spacing, np.linalg.norm(DIRECTIONS, axis=1))
    with pytest.raises(ImageError, match="index=3 does not exist"):
        medimg.read(path, index=3)


def test_a_detached_header_is_refused_so_that_it_names_no_other_file(tmp_path):
    path = save(tmp_path, noise(), "x.nhdr")
    with pytest.raises(ImageError, match=r"one \.nrrd file"):
        medimg.read(path)
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(420))
    path.write_text(
        f"NRRD0004\ntype: int16\ndimension: 3\nsizes: 5 6 7\nencoding: raw\nendian: little\ndata file: {secret}\n\n"
    )
    with pytest.raises(ImageError, match=r"one \.nrrd file"):
        medimg.read(path, assume_geometry=True)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.95])
def test_truncated(tmp_path, encoding, keep):
    path = save(tmp_path, noise((20, 20, 20)), encoding=encoding)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ImageError, match="damaged"):
        medimg.read(path)


@pytest.mark.parametrize(("module", "encoding"), [(gzip, b"gzip"), (bz2, b"bzip2")])
def test_a_bomb_is_unpacked_no_further_than_the_header_says(tmp_path, module, encoding):
    path = tmp_path / "x.nrrd"
    head = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nspace: LPS\nendian: little\n"
    head += b"space directions: (1,0,0) (0,1,0) (0,0,1)\nencoding: " + encoding + b"\n\n"
    path.write_bytes(head + module.compress(bytes(1 << 26)))
    tracemalloc.start()
    volume = medimg.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert volume.shape == (2, 2, 2)
    assert peak < 1 << 22


def test_damaged_headers(tmp_path):
    path = tmp_path / "x.nrrd"
    path.write_text("NRRD0004\ntype: int16\nnonsense\n\n")
    with pytest.raises(ImageError, match="damaged NRRD header"):
        medimg.read(path)
    data = save(tmp_path, noise()).read_bytes()
    path.write_bytes(data.replace(b"sizes: 5 6 7", b"sizes: 99999 99999 9"))
    with pytest.raises(ImageError, match="GiB of memory"):
        medimg.read(path)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.bool_, np.float16])
def test_written_files_read_back_and_are_the_same_each_time(tmp_path, dtype):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = DIRECTIONS.T, ORIGIN
    volume = Volume(noise(dtype=dtype), affine)
    back = medimg.read(write_nrrd(volume, tmp_path / "a.nrrd"))
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.same_grid(volume, 1e-6)
    write_nrrd(volume, tmp_path / "b.nrrd")
    assert (tmp_path / "a.nrrd").read_bytes()[:4] == b"NRRD"
    assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()
    with pytest.raises(ImageError, match=r"\.nrrd"):
        write_nrrd(volume, tmp_path / "a.nhdr")


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")
def test_simpleitk_agrees_in_both_directions(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    turn, _ = np.linalg.qr(DIRECTIONS)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * (0.7, 0.9, 2.5), ORIGIN
    volume = Volume(noise(), affine)
    image = sitk.ReadImage(str(write_nrrd(volume, tmp_path / "ours.nrrd")))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.array)
    for index in ((0, 0, 0), (4, 5, 6)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(lps * (-1, -1, 1), volume.voxel_to_world(index), atol=1e-6)
    sitk.WriteImage(image, str(tmp_path / "theirs.nrrd"))
    theirs = medimg.read(tmp_path / "theirs.nrrd")
    assert theirs.same_grid(volume, 1e-6)
    np.testing.assert_array_equal(theirs.array, volume.array)
