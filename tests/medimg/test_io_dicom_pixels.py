"""Stored pixels -> values: bits, sign, rescale, padding, grey scales, compression."""

import io
import zlib

import numpy as np
import pydicom
import pytest
from dicom_factory import lps_affine, make_enhanced, make_series, phantom, save, set_pixels
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

import medimg
from medimg import ImageError

SHAPE = (12, 10, 4)


def series(stored=None, **options):
    return make_series(phantom(SHAPE) if stored is None else stored, lps_affine(), **options)


class TestRescale:
    @pytest.mark.parametrize(
        ("slope", "intercept", "dtype"),
        [
            (1, -1024, np.int16),
            (2, 0, np.int16),
            (1, -32000, np.int16),
            (1, 32000, np.float32),
            (0.5, 0, np.float32),
            (1, 0.25, np.float32),
            (-1, 100, np.int16),
        ],
    )
    def test_int16_where_it_is_exact_else_float32(self, tmp_path, slope, intercept, dtype):
        volume = medimg.read(save(series(slope=slope, intercept=intercept), tmp_path))
        assert volume.array.dtype == dtype
        np.testing.assert_array_equal(volume.array, (phantom(SHAPE) * float(slope) + intercept).astype(np.float32))

    def test_each_slice_has_its_own(self, tmp_path):
        slopes, intercepts = [0.5, 1.25, 2.0, 3.5], [0.0, 1.0, -2.0, 3.0]
        datasets = series(modality="PT", slope=slopes, intercept=intercepts, Units="BQML")
        volume = medimg.read(save(datasets, tmp_path))
        np.testing.assert_allclose(volume.array, phantom(SHAPE) * np.array(slopes) + intercepts, rtol=1e-6)
        assert volume.units == "BQML"

    def test_a_late_slice_that_does_not_fit_turns_all_to_float(self, tmp_path):
        volume = medimg.read(save(series(slope=[1, 1, 1, 0.5], intercept=0), tmp_path))
        np.testing.assert_array_equal(volume.array, phantom(SHAPE) * np.array([1, 1, 1, 0.5]))
        assert volume.array.dtype == np.float32

    def test_frames_have_their_own_too(self, tmp_path):
        slopes = [0.5, 1.25, 2.0, 3.5]
        ds = make_enhanced(phantom(SHAPE), lps_affine(), slope=slopes, intercept=7, order=[2, 0, 3, 1])
        volume = medimg.read(save([ds], tmp_path))
        np.testing.assert_allclose(volume.array, phantom(SHAPE) * np.array(slopes) + 7)

    @pytest.mark.parametrize(
        ("modality", "slope", "kind", "units"),
        [
            ("CT", 1, None, "HU"),
            ("CT", 1, "HU", "HU"),
            ("CT", 1, "US", "unknown"),
            ("CT", 1, "Z_EFF", "Z_EFF"),
            ("CT", None, None, "unknown"),
            ("MR", 2, "US", "unknown"),
            ("MR", None, None, "unknown"),
        ],
    )
    def test_units(self, tmp_path, modality, slope, kind, units):
        extra = {"RescaleType": kind} if kind else {}
        volume = medimg.read(save(series(modality=modality, slope=slope, **extra), tmp_path))
        assert volume.units == units
        said = "does not say how its values become HU" in " ".join(volume.provenance.notes)
        assert said == (modality == "CT" and units == "unknown")

    def test_a_table_is_refused(self, tmp_path):
        datasets = series(slope=None, ModalityLUTSequence=[pydicom.Dataset()])
        with pytest.raises(ImageError, match="Modality LUT"):
            medimg.read(save(datasets, tmp_path))


class TestBits:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
    def test_types(self, tmp_path, dtype):
        low, high = (0, 250) if np.dtype(dtype).kind == "u" else (-100, 100)
        stored = np.random.default_rng(0).integers(low, high, SHAPE).astype(dtype)
        volume = medimg.read(save(series(stored, slope=None), tmp_path))
        np.testing.assert_array_equal(volume.array, stored)
        assert volume.array.dtype == np.int16

    @pytest.mark.parametrize("signed", [False, True])
    def test_bits_above_those_stored_are_not_part_of_the_value(self, tmp_path, signed):
        """12 bits in 16, with an old overlay in the upper four."""
        dtype = np.int16 if signed else np.uint16
        low, high = (-2048, 2048) if signed else (0, 4096)
        stored = np.random.default_rng(0).integers(low, high, SHAPE).astype(dtype)
        datasets = series(stored, slope=None)
        junk = np.random.default_rng(1).integers(0, 16, SHAPE).astype(np.uint16) << 12
        for k, ds in enumerate(datasets):
            dirty = (stored[:, :, k].astype(np.uint16) & 0x0FFF) | junk[:, :, k]
            set_pixels(ds, dirty.T.view(dtype), bits_stored=12)
        np.testing.assert_array_equal(medimg.read(save(datasets, tmp_path)).array, stored)

    def test_values_beyond_int16_become_float32(self, tmp_path):
        stored = np.full(SHAPE, 60000, np.uint16)
        volume = medimg.read(save(series(stored, slope=None), tmp_path))
        assert volume.array.dtype == np.float32
        assert (volume.array == 60000).all()

    def test_shifted_bits_and_missing_bits_are_refused(self, tmp_path):
        datasets = series(HighBit=15, BitsStored=12)
        with pytest.raises(ImageError, match="shifted"):
            medimg.read(save(datasets, tmp_path / "a"))
        datasets = series()
        for ds in datasets:
            del ds.PixelRepresentation
        with pytest.raises(ImageError, match="does not say how its pixels are stored"):
            medimg.read(save(datasets, tmp_path / "b"))

    def test_monochrome1_is_inverted_unless_the_values_are_a_quantity(self, tmp_path):
        stored = phantom(SHAPE).astype(np.uint16)
        dark = series(
            stored, modality="MR", slope=None, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
        )
        volume = medimg.read(save(dark, tmp_path / "a"))
        np.testing.assert_array_equal(volume.array, 4095 - stored)
        assert "Inverted" in volume.provenance.notes[0]
        signed = series(phantom(SHAPE), modality="MR", slope=None, PhotometricInterpretation="MONOCHROME1")
        np.testing.assert_array_equal(medimg.read(save(signed, tmp_path / "b")).array, -1 - phantom(SHAPE))
        hu = series(stored, PhotometricInterpretation="MONOCHROME1")
        np.testing.assert_array_equal(medimg.read(save(hu, tmp_path / "c")).array, stored.astype(int) - 1024)


class TestPadding:
    def test_ct_padding_becomes_air(self, tmp_path):
        stored = phantom(SHAPE)
        stored[:3] = -2000
        datasets = series(stored, PixelPaddingValue=-2000)
        volume = medimg.read(save(datasets, tmp_path))
        assert (volume.array[:3] == -1024).all()
        np.testing.assert_array_equal(volume.array[3:], stored[3:] - 1024)
        assert f"Set {3 * 10 * 4} padding voxels (no image data) to -1024." in volume.provenance.notes

    def test_padding_does_not_decide_the_type(self, tmp_path):
        stored = phantom(SHAPE)
        stored[:3] = -32768  # -33792 HU
        volume = medimg.read(save(series(stored, PixelPaddingValue=-32768), tmp_path))
        assert volume.array.dtype == np.int16
        assert volume.array.min() == -1024

    def test_a_padding_value_in_the_wrong_sign_is_understood(self, tmp_path):
        stored = phantom(SHAPE)
        stored[:3] = -2000
        datasets = series(stored)
        for ds in datasets:
            ds.add_new(0x00280120, "US", 65536 - 2000)
        assert (medimg.read(save(datasets, tmp_path)).array[:3] == -1024).all()

    def test_a_range_and_other_modalities(self, tmp_path):
        stored = phantom(SHAPE) + np.int16(10)
        stored[:2], stored[2] = -100, -90
        datasets = series(stored, modality="MR", slope=None, PixelPaddingValue=-100, PixelPaddingRangeLimit=-85)
        volume = medimg.read(save(datasets, tmp_path))
        assert (volume.array[:3] == 0).all()
        np.testing.assert_array_equal(volume.array[3:], stored[3:])

    def test_padding_that_is_0_already_is_no_news(self, tmp_path):
        stored = phantom(SHAPE)
        stored[:3] = 0
        volume = medimg.read(save(series(stored, modality="MR", slope=None, PixelPaddingValue=0), tmp_path))
        np.testing.assert_array_equal(volume.array, stored)
        assert volume.provenance.notes == ()

    def test_a_slice_of_nothing_but_padding(self, tmp_path):
        stored = phantom(SHAPE)
        stored[:, :, 1] = -2000
        volume = medimg.read(save(series(stored, PixelPaddingValue=-2000), tmp_path))
        assert (volume.array[:, :, 1] == -1024).all()
        np.testing.assert_array_equal(volume.array[:, :, 2], stored[:, :, 2] - 1024)


class TestTransferSyntaxes:
    @pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
    @pytest.mark.parametrize("dtype", [np.int16, np.uint16])
    def test_lossless_compression_of_single_and_multi_frame(self, tmp_path, syntax, dtype):
        stored = (phantom((40, 36, 4)) - (1000 if dtype == np.int16 else 0)).astype(dtype)
        datasets = series(stored)
        for ds in datasets:
            ds.compress(syntax, generate_instance_uid=False)
        np.testing.assert_array_equal(medimg.read(save(datasets, tmp_path / "a")).array, stored.astype(int) - 1024)
        enhanced = make_enhanced(stored, lps_affine(), order=[3, 1, 0, 2])
        enhanced.compress(syntax, generate_instance_uid=False)
        np.testing.assert_array_equal(medimg.read(save([enhanced], tmp_path / "b")).array, stored)

    @pytest.mark.parametrize("dtype", [np.int16, np.uint16])
    def test_jpeg_lossless_as_gdcm_writes_it(self, tmp_path, dtype):
        gdcm = pytest.importorskip("gdcm")
        stored = (phantom(SHAPE) - (1000 if dtype == np.int16 else 0)).astype(dtype)
        save(series(stored), tmp_path / "plain")
        (tmp_path / "packed").mkdir()
        for path in (tmp_path / "plain").iterdir():
            reader = gdcm.ImageReader()
            reader.SetFileName(str(path))
            assert reader.Read()
            change = gdcm.ImageChangeTransferSyntax()
            change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
            change.SetInput(reader.GetImage())
            assert change.Change()
            writer = gdcm.ImageWriter()
            writer.SetFileName(str(tmp_path / "packed" / path.name))
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            assert writer.Write()
        assert pydicom.dcmread(tmp_path / "packed" / "IM0000").file_meta.TransferSyntaxUID == JPEGLosslessSV1
        volume = medimg.read(tmp_path / "packed")
        np.testing.assert_array_equal(volume.array, stored.astype(int) - 1024)

    def test_jpeg_baseline(self, tmp_path):
        smooth = np.add.outer(np.arange(48), 2 * np.arange(40)).astype(np.uint8)  # (X, Y)
        (ds,) = series(smooth[:, :, np.newaxis], modality="MR", slope=None)
        packed = io.BytesIO()
        Image.fromarray(smooth.T).save(packed, "JPEG", quality=95)
        ds.PixelData = pydicom.encaps.encapsulate([packed.getvalue()])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        volume = medimg.read(save([ds], tmp_path))
        np.testing.assert_array_equal(volume.array[:, :, 0].T, np.asarray(Image.open(packed)))
        assert "with loss" in " ".join(volume.provenance.notes)

    def test_near_lossless_is_near_and_said(self, tmp_path):
        datasets = series()
        for ds in datasets:
            ds.compress(JPEGLSNearLossless, jls_error=3, generate_instance_uid=False)
        volume = medimg.read(save(datasets, tmp_path))
        assert 0 < np.abs(volume.array - (phantom(SHAPE) - 1024)).max() <= 3
        assert "with loss" in " ".join(volume.provenance.notes)

    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
    def test_other_encodings(self, tmp_path, syntax):
        datasets = series()
        for ds in datasets:
            ds.file_meta.TransferSyntaxUID = syntax
        np.testing.assert_array_equal(medimg.read(save(datasets, tmp_path)).array, phantom(SHAPE) - 1024)

    def test_big_endian(self, tmp_path):
        datasets = series()
        for k, ds in enumerate(datasets):
            ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            ds.PixelData = phantom(SHAPE)[:, :, k].T.astype(">i2").tobytes()
        np.testing.assert_array_equal(medimg.read(save(datasets, tmp_path)).array, phantom(SHAPE) - 1024)

    def test_without_preamble_and_meta(self, tmp_path):
        for k, ds in enumerate(series()):
            ds.remove_private_tags()
            buffer = io.BytesIO()
            pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
            raw = buffer.getvalue()
            start = 144 + int.from_bytes(raw[140:144], "little")
            (tmp_path / f"{k}").write_bytes(raw[start:])
        np.testing.assert_array_equal(medimg.read(tmp_path).array, phantom(SHAPE) - 1024)

    def test_damaged_streams_give_one_sentence_and_no_noise(self, tmp_path, capfd):
        for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
            (ds,) = series(phantom((64, 64, 1)))
            ds.compress(syntax, generate_instance_uid=False)
            path = save([ds], tmp_path) / "IM0000"
            data = bytearray(path.read_bytes())
            at = data.rfind(b"\xfe\xff\x00\xe0", 0, len(data) - 20) + 60
            data[at : at + 400] = bytes(range(200)) * 2
            path.write_bytes(data)
            try:
                found = medimg.read(path).array
            except ImageError as error:
                _one_sentence(str(error))
            else:  # a codec without checksums may not notice; then the shape is right all the same
                assert found.shape == (64, 64, 1)
        assert capfd.readouterr() == ("", "")

    def test_pixel_data_of_an_unknown_type(self, tmp_path):
        (ds,) = series(phantom((64, 64, 1)))
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)
        path = save([ds], tmp_path) / "IM0000"
        data = path.read_bytes()
        assert data.count(b"\xe0\x7f\x10\x00OB") == 1
        path.write_bytes(data.replace(b"\xe0\x7f\x10\x00OB", b"\xe0\x7f\x10\x00Og"))
        with pytest.raises(ImageError, match="damaged"):
            medimg.read(path)

    def test_a_jpeg_2000_stream_of_another_size_is_refused_before_it_is_decoded(self, tmp_path):
        (ds,) = series(phantom((64, 64, 1)))
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)
        at = ds.PixelData.find(b"\xff\x4f\xff\x51") + 8
        ds.PixelData = ds.PixelData[:at] + (1 << 30).to_bytes(4, "big") + ds.PixelData[at + 4 :]
        with pytest.raises(ImageError, match="64 x 1073741824 pixels and its header 64 x 64"):
            medimg.read(save([ds], tmp_path))

    def test_unknown_and_unavailable_syntaxes_are_named(self, tmp_path):
        (ds,) = series(phantom((8, 8, 1)))
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG2
        with pytest.raises(ImageError, match="MPEG2"):
            medimg.read(save([ds], tmp_path))

    def test_a_deflated_bomb_is_refused(self, tmp_path, monkeypatch):
        (ds,) = series(phantom((8, 8, 1)))
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        path = save([ds], tmp_path) / "IM0000"
        data = path.read_bytes()
        start = 144 + int.from_bytes(data[140:144], "little")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        path.write_bytes(data[:start] + packer.compress(bytes(100 << 20)) + packer.flush())

        class LittleMemory:
            available = 128 << 20

        monkeypatch.setattr("psutil.virtual_memory", lambda: LittleMemory)
        with pytest.raises(ImageError, match="GiB of memory"):
            medimg.read(path)


def _one_sentence(text: str) -> None:
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 300
