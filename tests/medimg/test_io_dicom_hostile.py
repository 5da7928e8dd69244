"""28 public files that readers commonly get wrong: each gives the right pixels or one clear sentence.

The table below is the whole contract. "Pixels" are checked against an independent decode (SimpleITK, which uses GDCM;
we decode JPEG 2000 by OpenJPEG and JPEG-LS by CharLS) and against each other where files hold the same image.
"""

from pathlib import Path

import numpy as np
import pydicom
import pytest

import medimg
from medimg import ImageError, geometry

FOLDER = Path(__file__).resolve().parents[1] / "data" / "dicom_hostile"

HU, MR = "HU", "unknown"
# file -> (shape, units, words of a note or "") of what loads as it stands
LOADS = {
    "CT_small": ((128, 128, 1), HU, "thickness"),
    "J2K_pixelrep_mismatch": ((512, 512, 1), HU, ""),  # the stream is unsigned, the header says signed
    "MR_small": ((64, 64, 1), MR, ""),
    "MR_small_RLE": ((64, 64, 1), MR, ""),
    "MR_small_bigendian": ((64, 64, 1), MR, ""),
    "MR_small_jp2klossless": ((64, 64, 1), MR, ""),
    "MR_small_jpeg_ls_lossless": ((64, 64, 1), MR, ""),
    "MR_small_padded": ((64, 64, 1), MR, "surplus was ignored"),
    "bad_sequence": ((512, 512, 1), HU, "2 header value(s) do not keep to the DICOM standard"),
    "jpeg_2000": ((512, 512, 1), HU, "compressed with loss"),
    "jpeg_ls": ((1024, 1024, 1), MR, "compressed with loss"),
    "rle": ((512, 512, 1), HU, "55772 padding voxels (no image data) to -1024"),
}
# files that do not say how they lie in the patient: refused, and read with assume_geometry=True
PLACELESS = {
    "JPEGLSNearLossless_16": (10, 50, 1),
    "deflated": (512, 512, 1),
    "emri_small_RLE": (64, 64, 10),
    "emri_small_jpeg_ls_lossless": (64, 64, 10),
    "image_dfl": (512, 512, 1),
}
# file -> words of the refusal, whatever the options
REFUSED = {
    "ExplVR_BigEndNoMeta": "no image to read, only this: RT Ion Plan",
    "ExplVR_LitEndNoMeta": "no image to read, only this: RT Ion Plan",
    "JPEG-lossy": "12-bit JPEG Extended .* no free decoder",
    "JPEG2000-embedded-sequence-delimiter": "JPEG 2000 stream says .* and its header 1024 x 256",
    "MR_truncated": "incomplete: 8130 of 8192 bytes of pixels",
    "badVR": "only this: radiotherapy dose",
    "emri_small_jpeg_2k_lossless_too_short": "damaged",
    "jpeg_lossless_sel1": "only this: localizer; name it by series=",
    "meta_missing_tsyntax": "only this: DICOM object without an image",
    "nested_priv_SQ": "only this: DICOM object without an image",
    "no_meta": "is no image that is read here",
}


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.dcm"


def test_the_table_is_complete():
    names = [*LOADS, *PLACELESS, *REFUSED]
    assert sorted(names) == sorted(path.stem for path in FOLDER.glob("*.dcm"))
    assert len(names) == len(set(names)) == 28


@pytest.mark.parametrize("name", LOADS)
def test_loads(name, capfd):
    shape, units, note = LOADS[name]
    volume = medimg.read(path_of(name))
    assert (volume.shape, volume.units) == (shape, units)
    assert note in " ".join(volume.provenance.notes)
    assert len(volume.provenance.slices) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", PLACELESS)
def test_without_a_place(name, capfd):
    with pytest.raises(ImageError, match=r"image without a position in the patient; pass assume_geometry=True"):
        medimg.read(path_of(name))
    volume = medimg.read(path_of(name), assume_geometry=True)
    assert volume.shape == PLACELESS[name]
    assert "left may be right" in " ".join(volume.provenance.notes)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, capfd):
    with pytest.raises(ImageError, match=REFUSED[name]) as caught:
        medimg.read(path_of(name), assume_geometry=True)
    with pytest.raises(ImageError) as plainly:
        medimg.read(path_of(name))
    for error in (caught.value, plainly.value):
        text = str(error)
        assert "\n" not in text
        assert text.endswith(".")
        assert error.__suppress_context__ or error.__context__ is None
    assert capfd.readouterr() == ("", "")


def test_the_localizer_is_read_by_its_uid():
    uid = str(pydicom.dcmread(path_of("jpeg_lossless_sel1"), stop_before_pixels=True).SeriesInstanceUID)
    assert medimg.read(path_of("jpeg_lossless_sel1"), series=uid).shape == (512, 400, 1)


def test_files_that_hold_the_same_image_agree():
    stored = np.frombuffer(pydicom.dcmread(path_of("MR_small")).PixelData, "<i2").reshape(64, 64).T
    for name in (name for name in LOADS if name.startswith("MR_small")):
        np.testing.assert_array_equal(medimg.read(path_of(name)).array[:, :, 0], stored)

    def assumed(name):
        return medimg.read(path_of(name), assume_geometry=True).array

    np.testing.assert_array_equal(assumed("emri_small_RLE"), assumed("emri_small_jpeg_ls_lossless"))
    np.testing.assert_array_equal(assumed("deflated"), assumed("image_dfl"))
    lossless, lossy = assumed("rle"), assumed("jpeg_2000")
    body = lossless > -500
    assert np.abs(lossless[body].astype(float) - lossy[body]).mean() < 40


@pytest.mark.oracle
@pytest.mark.parametrize("name", [*LOADS, *PLACELESS])
@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")
def test_simpleitk_decodes_the_same(name):
    sitk = pytest.importorskip("SimpleITK")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    image = sitk.ReadImage(str(path_of(name)))
    theirs = sitk.GetArrayFromImage(image).T
    ours = medimg.read(path_of(name), assume_geometry=True)
    padding = np.zeros(ours.shape, bool)
    if name in ("rle", "jpeg_2000"):
        padding = theirs == -2000 - 1024  # SimpleITK rescales padding as if it were tissue
        assert (ours.array[padding] == -1024).all()
    np.testing.assert_allclose(ours.array[~padding], theirs[~padding], rtol=1e-6)
    if name in LOADS:
        np.testing.assert_allclose(geometry.lps_to_ras(ours.affine)[:3, 3], image.GetOrigin(), atol=1e-6)
        np.testing.assert_allclose(ours.spacing[:2], image.GetSpacing()[:2], atol=1e-6)


def test_the_whole_folder_at_once(capfd):
    infos = medimg.list_series(FOLDER)
    assert len(infos) > 3
    with pytest.raises(medimg.SeriesChoiceError):
        medimg.read(FOLDER)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name", ["CT_small", "MR_small_RLE", "emri_small_jpeg_ls_lossless", "deflated", "nested_priv_SQ"]
)
def test_random_damage_gives_an_image_or_our_error(name, tmp_path, capfd):
    """Bytes overwritten and files cut at random places: nothing but ImageError, no warning, no word on stderr."""
    rng = np.random.default_rng(5)
    original = path_of(name).read_bytes()
    refused = 0
    for _ in range(40):
        data = bytearray(original)
        for at in rng.integers(132, min(len(data), 3000), 3):
            data[at : at + 2] = rng.bytes(2)
        if rng.random() < 0.3:
            data = data[: rng.integers(200, len(data))]
        (tmp_path / "x.dcm").write_bytes(data)
        try:
            volume = medimg.read(tmp_path / "x.dcm", assume_geometry=True)
        except ImageError:
            refused += 1
        else:
            assert volume.array.ndim == 3
    assert refused > 0
    assert capfd.readouterr() == ("", "")
