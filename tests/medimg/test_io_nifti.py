"""NIfTI: which affine, which values, what is refused, and writing that reads back."""

import contextlib
import gzip
import hashlib

import nibabel as nib
import numpy as np
import pytest

import medimg
from medimg import ImageError, Provenance, Volume
from medimg.io import write_nifti


def oblique(spacing=(0.7, 0.9, 2.5)) -> np.ndarray:
    a, b = np.radians(20), np.radians(-15)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = (-100.5, 33.25, 71.125)
    return affine


def noise(shape=(5, 6, 7), dtype=np.int16) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, shape).astype(dtype)


def save(tmp_path, array, affine, name="x.nii.gz", kind=nib.Nifti1Image, sform=1, qform=1, **header):
    image = kind(array, affine, dtype=array.dtype)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform, strip_shears=True)
    for key, value in header.items():
        image.header[key] = value
    path = tmp_path / name
    nib.save(image, path)
    return path


class TestRead:
    @pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
    @pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
    def test_values_affine_and_hash(self, tmp_path, kind, name):
        array = noise()
        path = save(tmp_path, array, oblique(), name, kind)
        volume = medimg.read(path)
        np.testing.assert_array_equal(volume.array, array)
        assert volume.array.dtype == np.int16
        np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)
        assert volume.provenance == Provenance(path, "nifti", hashlib.sha256(path.read_bytes()).hexdigest())

    def test_what_a_file_is_its_content_says(self, tmp_path):
        path = save(tmp_path, noise(), np.eye(4))
        path.rename(tmp_path / "no_suffix_at_all")
        assert medimg.read(tmp_path / "no_suffix_at_all").shape == (5, 6, 7)

    def test_sform_comes_before_qform_and_a_difference_is_said(self, tmp_path):
        image = nib.Nifti1Image(noise(), None)
        image.set_sform(np.diag([2.0, 2, 2, 1]), 2)
        image.set_qform(np.diag([-1.0, 1, 1, 1]), 1)
        nib.save(image, tmp_path / "x.nii")
        volume = medimg.read(tmp_path / "x.nii")
        np.testing.assert_array_equal(volume.affine, np.diag([2, 2, 2, 1]))
        assert "sform and qform differ" in volume.provenance.notes[0]

    def test_qform_where_there_is_no_sform(self, tmp_path):
        volume = medimg.read(save(tmp_path, noise(), oblique(), sform=0))
        np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)

    def test_no_form_is_refused_or_assumed(self, tmp_path):
        path = save(tmp_path, noise(), np.diag([2.0, 3, 4, 1]), sform=0, qform=0)
        with pytest.raises(ImageError, match=r"left and right are unknown.*assume_geometry=True"):
            medimg.read(path)
        volume = medimg.read(path, assume_geometry=True)
        np.testing.assert_array_equal(volume.affine, np.diag([2, 3, 4, 1]))
        assert "assumed" in volume.provenance.notes[0]
        assert "left and right" in medimg.list_series(path)[0].problem

    @pytest.mark.parametrize(
        ("stored", "slope", "inter", "dtype"),
        [
            (np.int16, 1, 0, np.int16),
            (np.uint8, 2, -1024, np.int16),
            (np.uint16, 1, -1024, np.int16),
            (np.int16, 0.5, 3, np.float32),
            (np.int16, 300, 0, np.float32),
            (np.float32, 2, 1, np.float32),
            (np.int16, np.nan, 0, np.int16),
            (np.int16, 0, 7, np.int16),
        ],
    )
    def test_slope_and_intercept(self, tmp_path, stored, slope, inter, dtype):
        array = noise(dtype=stored)
        path = save(tmp_path, array, np.eye(4), "x.nii")
        raw = bytearray(path.read_bytes())
        raw[112:120] = np.array([slope, inter], "<f4").tobytes()  # scl_slope, scl_inter
        path.write_bytes(raw)
        applied = (slope, inter) if np.isfinite(slope) and slope else (1, 0)
        volume = medimg.read(path)
        assert volume.array.dtype == dtype
        np.testing.assert_allclose(volume.array, array * float(applied[0]) + applied[1], rtol=1e-6)

    @pytest.mark.parametrize(("unit", "scale"), [("meter", 1000), ("mm", 1), ("micron", 0.001), ("unknown", 1)])
    def test_units_of_length(self, tmp_path, unit, scale):
        image = nib.Nifti1Image(noise(), np.diag([2.0, 3, 4, 1]))
        image.header.set_xyzt_units(unit)
        nib.save(image, tmp_path / "x.nii")
        assert medimg.read(tmp_path / "x.nii").spacing == pytest.approx((2 * scale, 3 * scale, 4 * scale))

    def test_big_endian(self, tmp_path):
        array = noise()
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(">i2")
        nib.save(nib.Nifti1Image(array.astype(">i2"), np.eye(4), header), tmp_path / "x.nii")
        volume = medimg.read(tmp_path / "x.nii")
        np.testing.assert_array_equal(volume.array, array)
        assert volume.array.dtype.isnative

    def test_2d_becomes_one_slice_and_trailing_ones_go(self, tmp_path):
        assert medimg.read(save(tmp_path, noise((5, 6)), np.eye(4))).shape == (5, 6, 1)
        assert medimg.read(save(tmp_path, noise((5, 6, 7, 1, 1)), np.eye(4))).shape == (5, 6, 7)

    @pytest.mark.parametrize("shape", [(5, 6, 7, 3), (5, 6, 7, 1, 3)])
    def test_4d_asks_for_an_index(self, tmp_path, shape):
        array = noise(shape)
        path = save(tmp_path, array, np.eye(4))
        with pytest.raises(ImageError, match="3 volumes, index 0 to 2"):
            medimg.read(path)
        with pytest.raises(ImageError, match="index=3 does not exist"):
            medimg.read(path, index=3)
        with pytest.raises(ImageError, match="index=-1 does not exist"):
            medimg.read(path, index=-1)
        volume = medimg.read(path, index=2)
        np.testing.assert_array_equal(volume.array, array.reshape(5, 6, 7, 3)[..., 2])
        assert "Volume 2 of 3" in volume.provenance.notes[0]
        assert "index=" in medimg.list_series(path)[0].problem

    def test_5d_and_index_of_3d_are_refused(self, tmp_path):
        with pytest.raises(ImageError, match="5 dimensions"):
            medimg.read(save(tmp_path, noise((2, 3, 4, 2, 2)), np.eye(4)))
        with pytest.raises(ImageError, match="one volume"):
            medimg.read(save(tmp_path, noise(), np.eye(4)), index=1)

    def test_label_intent_and_units(self, tmp_path):
        path = save(tmp_path, noise(), np.eye(4), intent_code=1002)
        assert medimg.read(path).units == "label"
        assert medimg.read(path, units="HU").units == "HU"

    def test_colour_and_complex_are_refused(self, tmp_path):
        colour = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        with pytest.raises(ImageError, match="colour"):
            medimg.read(save(tmp_path, colour, np.eye(4)))
        with pytest.raises(ImageError, match="complex64"):
            medimg.read(save(tmp_path, np.zeros((3, 4, 5), np.complex64), np.eye(4)))

    def test_a_pair_is_refused_by_name_of_the_remedy(self, tmp_path):
        nib.save(nib.Nifti1Pair(noise(), np.eye(4)), tmp_path / "x.hdr")
        with pytest.raises(ImageError, match=r"single \.nii"):
            medimg.read(tmp_path / "x.hdr")


class TestDamage:
    @pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
    @pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
    def test_truncated(self, tmp_path, name, keep):
        path = save(tmp_path, noise((20, 20, 20)), np.eye(4), name)
        data = path.read_bytes()
        path.write_bytes(data[: int(keep * len(data))])
        with pytest.raises(ImageError, match="incomplete"):
            medimg.read(path)

    def test_a_flipped_bit_in_a_gz_never_gives_wrong_values(self, tmp_path):
        array = noise((20, 20, 20))
        path = save(tmp_path, array, np.eye(4))
        data = path.read_bytes()
        for at in np.random.default_rng(0).integers(20, len(data), 40):
            flipped = bytearray(data)
            flipped[at] ^= 0x10
            path.write_bytes(flipped)
            with pytest.raises(ImageError, match="damaged"):
                medimg.read(path)

    def test_several_gzip_members_in_a_row(self, tmp_path):
        array = noise((20, 20, 20))
        raw = save(tmp_path, array, np.eye(4), "x.nii").read_bytes()
        (tmp_path / "x.nii.gz").write_bytes(
            b"".join(gzip.compress(raw[k : k + 3000]) for k in range(0, len(raw), 3000))
        )
        np.testing.assert_array_equal(medimg.read(tmp_path / "x.nii.gz").array, array)

    def test_a_header_that_asks_for_more_than_the_memory(self, tmp_path):
        path = save(tmp_path, noise(), np.eye(4))
        raw = bytearray(gzip.decompress(path.read_bytes()))
        raw[42:48] = np.array([32767] * 3, "<i2").tobytes()
        path.write_bytes(gzip.compress(raw))
        with pytest.raises(ImageError, match=r"needs 65\d+\.\d GiB of memory"):
            medimg.read(path)

    @pytest.mark.parametrize("fill", [0x00, 0xFF, 0x55])
    @pytest.mark.parametrize("start", range(40, 340, 20))
    def test_overwritten_header_fields_give_an_image_or_our_error(self, tmp_path, start, fill):
        path = save(tmp_path, noise(), oblique(), "x.nii")
        raw = bytearray(path.read_bytes())
        raw[start : start + 20] = bytes([fill]) * 20
        path.write_bytes(raw)
        with contextlib.suppress(ImageError):
            assert np.isfinite(medimg.read(path).affine).all()

    def test_missing_empty_and_foreign_files(self, tmp_path):
        with pytest.raises(ImageError, match=r"no file or folder 'absent.nii'"):
            medimg.read(tmp_path / "absent.nii")
        (tmp_path / "empty.nii").touch()
        with pytest.raises(ImageError, match="is empty"):
            medimg.read(tmp_path / "empty.nii")
        (tmp_path / "text.nii").write_text("hello" * 200)
        with pytest.raises(ImageError, match="no image"):
            medimg.read(tmp_path / "text.nii")
        (tmp_path / "text.nii.gz").write_bytes(b"\x1f\x8b broken")
        with pytest.raises(ImageError, match="damaged"):
            medimg.read(tmp_path / "text.nii.gz")


class TestFolder:
    def test_several_files_ask_and_one_is_chosen(self, tmp_path):
        save(tmp_path, noise(), np.eye(4), "a.nii.gz")
        save(tmp_path, noise((2, 2, 2)), np.eye(4), "b.nii")
        with pytest.raises(medimg.SeriesChoiceError, match="holds 2 series") as caught:
            medimg.read(tmp_path)
        assert '  1. nifti "a.nii.gz", 5 x 6 x 7 voxels, 1 x 1 x 1 mm' in str(caught.value)
        assert caught.value.series == medimg.list_series(tmp_path)
        assert medimg.read(tmp_path, series=2).shape == medimg.read(tmp_path, "b.nii").shape == (2, 2, 2)
        with pytest.raises(ImageError, match="no series 3"):
            medimg.read(tmp_path, series=3)

    def test_one_damaged_file_does_not_hide_the_others(self, tmp_path):
        save(tmp_path, noise(), np.eye(4), "a.nii.gz")
        (tmp_path / "b.nii.gz").write_bytes(b"\x1f\x8b broken")
        a, b = medimg.list_series(tmp_path)
        assert a.problem is None
        assert "damaged" in b.problem
        assert medimg.read(tmp_path, "a.nii.gz").shape == (5, 6, 7)

    def test_nothing_there(self, tmp_path):
        (tmp_path / "notes.txt").write_text("hello")
        assert medimg.list_series(tmp_path) == ()
        with pytest.raises(ImageError, match=r"holds no image \(looked at 1 file\)"):
            medimg.read(tmp_path)


class TestWrite:
    @pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
    @pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.uint16, np.float32, np.float64, np.int64])
    def test_reads_back_and_nibabel_agrees(self, tmp_path, name, dtype):
        volume = Volume(noise(dtype=dtype), oblique(), "HU")
        path = write_nifti(volume, tmp_path / name, description="made by a test")
        image = nib.load(path)
        np.testing.assert_array_equal(np.asarray(image.dataobj), volume.array)
        assert image.get_data_dtype() == dtype
        np.testing.assert_allclose(image.affine, oblique(), atol=1e-4)
        np.testing.assert_allclose(image.get_qform(), oblique(), atol=1e-4)
        assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
        assert image.header.get_xyzt_units()[0] == "mm"
        assert medimg.read(path).same_grid(volume)

    def test_a_sheared_grid_has_no_qform(self, tmp_path):
        affine = oblique()
        affine[:3, 2] += 0.2 * affine[:3, 1]
        image = nib.load(write_nifti(Volume(noise(), affine), tmp_path / "x.nii"))
        assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 0)
        np.testing.assert_allclose(image.affine, affine, atol=1e-4)
        np.testing.assert_allclose(image.header.get_zooms(), np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-6)

    def test_the_same_volume_gives_the_same_bytes_under_any_name(self, tmp_path):
        volume = Volume(noise(), oblique())
        a, b = write_nifti(volume, tmp_path / "a.nii.gz"), write_nifti(volume, tmp_path / "b.nii.gz")
        assert a.read_bytes() == b.read_bytes()
        assert a.read_bytes()[4:8] == b"\0\0\0\0"  # no time in the gzip header

    @pytest.mark.parametrize(("top", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (70000, np.uint32)])
    def test_labels_take_the_smallest_integer_and_say_what_they_are(self, tmp_path, top, dtype):
        labels = np.zeros((3, 3, 3), np.int64)
        labels[1, 1, 1] = top
        path = write_nifti(Volume(labels, np.eye(4), "label"), tmp_path / "x.nii.gz")
        assert nib.load(path).get_data_dtype() == dtype
        back = medimg.read(path)
        assert back.units == "label"
        np.testing.assert_array_equal(back.array, labels)

    def test_bool_and_float16_take_the_next_type(self, tmp_path):
        mask = noise() > 100
        np.testing.assert_array_equal(medimg.read(write_nifti(Volume(mask, np.eye(4)), tmp_path / "m.nii")).array, mask)
        half = noise(dtype=np.float16)
        np.testing.assert_array_equal(medimg.read(write_nifti(Volume(half, np.eye(4)), tmp_path / "h.nii")).array, half)

    def test_a_type_that_cannot_hold_the_values_is_refused(self, tmp_path):
        with pytest.raises(ImageError, match="uint8 cannot hold"):
            write_nifti(Volume(np.full((2, 2, 2), 300), np.eye(4)), tmp_path / "x.nii", dtype=np.uint8)
        assert not (tmp_path / "x.nii").exists()

    def test_negative_labels_are_kept(self, tmp_path):
        labels = np.array([-1, 0, 200]).reshape(3, 1, 1)
        back = medimg.read(write_nifti(Volume(labels, np.eye(4), "label"), tmp_path / "x.nii"))
        np.testing.assert_array_equal(back.array, labels)

    def test_names_and_codes(self, tmp_path):
        volume = Volume(noise(), np.eye(4))
        assert nib.load(write_nifti(volume, tmp_path / "x.nii", code=2)).header["sform_code"] == 2
        with pytest.raises(ImageError, match=r"\.nii"):
            write_nifti(volume, tmp_path / "x.img")
        with pytest.raises(ImageError, match="code"):
            write_nifti(volume, tmp_path / "x.nii", code=7)

    def test_an_axis_too_long_for_nifti1_becomes_nifti2(self, tmp_path):
        volume = Volume(np.zeros((40000, 1, 1), np.uint8), np.eye(4))
        path = write_nifti(volume, tmp_path / "x.nii.gz")
        assert isinstance(nib.load(path), nib.Nifti2Image)
        assert medimg.read(path).shape == (40000, 1, 1)

    def test_nothing_but_the_file_stays_behind(self, tmp_path):
        write_nifti(Volume(noise(), np.eye(4)), tmp_path / "x.nii.gz")
        assert [p.name for p in tmp_path.iterdir()] == ["x.nii.gz"]


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")
def test_simpleitk_sees_what_we_wrote_where_we_wrote_it(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    volume = Volume(noise(), oblique())
    image = sitk.ReadImage(str(write_nifti(volume, tmp_path / "x.nii.gz")))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.array)
    for index in ((0, 0, 0), (4, 5, 6), (2, 0, 6)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(lps * (-1, -1, 1), volume.voxel_to_world(index), atol=1e-4)
