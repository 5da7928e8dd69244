"""DICOM series: order, duplicates, gaps, tilt, several volumes, what is set aside, and where each slice came from."""

import hashlib
import shutil
import traceback

import numpy as np
import pytest
from dicom_factory import lps_affine, make_enhanced, make_series, phantom, save
from pydicom.uid import (
    CTImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    XRayRadiationDoseSRStorage,
    generate_uid,
)

import medimg
from medimg import ImageError, SeriesChoiceError
from medimg.io.dicom import source_datasets
from medimg.io.dicom.layout import tolerance

SHAPE = (12, 10, 8)


def linear(affine: np.ndarray, shape=SHAPE) -> np.ndarray:
    """Stored values that are a linear function of the place in the patient: interpolation must not change them."""
    indices = np.indices(shape).reshape(3, -1)
    world = affine[:3, :3] @ indices + affine[:3, 3:]
    return np.rint(1000 + 20 * world[0] - 10 * world[1] + 12 * world[2]).reshape(shape).astype(np.int16)


def assert_linear(volume, inside: np.ndarray, atol: float = 2.0) -> None:
    """The volume's values at the voxels `inside` are those of `linear` at their places."""
    x, y, z = volume.voxel_to_world(inside).T * np.array([[-1], [-1], [1]])
    found = volume.array[tuple(inside.T)]
    np.testing.assert_allclose(found, 1000 + 20 * x - 10 * y + 12 * z - 1024, atol=atol)


class TestOrder:
    def test_neither_names_nor_instance_numbers_order_the_slices(self, tmp_path):
        stored = phantom(SHAPE)
        shuffled = [3, 0, 7, 5, 1, 6, 2, 4]
        datasets = make_series(stored, lps_affine(), InstanceNumber=lambda k: shuffled[k])
        folder = save(datasets, tmp_path, names=[f"IM{9 - n}" for n in shuffled])
        np.testing.assert_array_equal(medimg.read(folder).array, stored - 1024)

    def test_files_may_lie_in_several_folders(self, tmp_path):
        datasets = make_series(phantom(SHAPE), lps_affine())
        save(datasets[:3], tmp_path / "a")
        save(datasets[3:], tmp_path / "b" / "deep")
        assert medimg.read(tmp_path).shape == SHAPE

    def test_the_hash_knows_content_not_names(self, tmp_path):
        datasets = make_series(phantom(SHAPE), lps_affine())
        one = medimg.read(save(datasets, tmp_path / "a")).provenance
        two = medimg.read(save(datasets[::-1], tmp_path / "b", [f"x{k}" for k in range(8)])).provenance
        digests = sorted(hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / "a").iterdir())
        assert one.sha256 == two.sha256 == hashlib.sha256("\n".join(digests).encode()).hexdigest()
        single = medimg.read(tmp_path / "a" / "IM0000").provenance
        assert single.sha256 == hashlib.sha256((tmp_path / "a" / "IM0000").read_bytes()).hexdigest()

    def test_small_rounding_of_positions_is_tolerated_and_said(self, tmp_path):
        affine = lps_affine()

        def position(k):
            return [-40.0, -30.0, 10.0 + 2.5 * k + (0.04 if k == 3 else 0)]

        volume = medimg.read(save(make_series(phantom(SHAPE), affine, ImagePositionPatient=position), tmp_path))
        assert volume.spacing[2] == pytest.approx(2.5)
        assert "up to 0.04 mm" in " ".join(volume.provenance.notes)

    def test_one_slice_takes_its_thickness(self, tmp_path):
        volume = medimg.read(save(make_series(phantom((4, 5, 1)), lps_affine()), tmp_path))
        assert (volume.shape, volume.spacing[2]) == ((4, 5, 1), pytest.approx(2.5))
        assert "thickness" in volume.provenance.notes[0]


class TestProvenance:
    def test_each_slice_knows_its_object(self, tmp_path):
        datasets = make_series(phantom(SHAPE), lps_affine())
        volume = medimg.read(save(datasets, tmp_path, names=list("hgfedcba")))
        assert [s.sop_instance_uid for s in volume.provenance.slices] == [ds.SOPInstanceUID for ds in datasets]
        assert [s.path.name for s in volume.provenance.slices] == list("hgfedcba")
        assert volume.provenance.series_uid == datasets[0].SeriesInstanceUID
        headers = source_datasets(volume)
        assert [h.SOPInstanceUID for h in headers] == [ds.SOPInstanceUID for ds in datasets]
        assert all("PixelData" not in h for h in headers)

    def test_frames_of_a_multi_frame_object(self, tmp_path):
        volume = medimg.read(save([make_enhanced(phantom(SHAPE), lps_affine(), order=range(7, -1, -1))], tmp_path))
        assert [s.frame for s in volume.provenance.slices] == list(range(7, -1, -1))
        assert len(source_datasets(volume)) == 1

    def test_sources_from_a_zip(self, tmp_path):
        datasets = make_series(phantom(SHAPE), lps_affine())
        save(datasets, tmp_path / "study")
        archive = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "study")
        headers = source_datasets(medimg.read(archive))
        assert [h.SOPInstanceUID for h in headers] == [ds.SOPInstanceUID for ds in datasets]

    def test_missing_uids_are_filled_the_same_way_each_time(self, request):
        volume = medimg.read(request.config.rootpath / "data_samples" / "ct_dicom")
        first, again = source_datasets(volume), source_datasets(volume)
        assert {str(h.SOPClassUID) for h in first} == {CTImageStorage}
        assert len({str(h.SOPInstanceUID) for h in first}) == 20
        assert {str(h.StudyInstanceUID) for h in first} == {str(h.StudyInstanceUID) for h in again}
        assert len({str(h.SeriesInstanceUID) for h in first}) == 1

    def test_no_sources_for_other_images_or_files_that_went(self, tmp_path):
        with pytest.raises(ImageError, match="no DICOM headers"):
            source_datasets(medimg.Volume(np.zeros((2, 2, 2)), np.eye(4)))
        volume = medimg.read(save(make_series(phantom(SHAPE), lps_affine()), tmp_path / "a"))
        shutil.copy(tmp_path / "a" / "IM0001", tmp_path / "a" / "IM0000")
        with pytest.raises(ImageError, match="no longer the image"):
            source_datasets(volume)
        shutil.rmtree(tmp_path / "a")
        with pytest.raises(ImageError, match="no file or folder"):
            source_datasets(volume)


class TestDuplicates:
    def test_copies_are_dropped_and_said(self, tmp_path):
        stored = phantom(SHAPE)
        datasets = make_series(stored, lps_affine())
        save(datasets, tmp_path / "a")
        save(datasets[2:5], tmp_path / "again")
        volume = medimg.read(tmp_path)
        np.testing.assert_array_equal(volume.array, stored - 1024)
        assert "Dropped 3 duplicate slice(s): same place, same pixels." in volume.provenance.notes
        assert volume.provenance.sha256 == medimg.read(tmp_path / "a").provenance.sha256

    def test_a_copy_in_another_compression_is_a_copy(self, tmp_path):
        from pydicom.uid import RLELossless

        datasets = make_series(phantom(SHAPE), lps_affine())
        save(datasets, tmp_path / "a")
        datasets[4].compress(RLELossless, generate_instance_uid=False)
        save(datasets[4:5], tmp_path / "b")
        volume = medimg.read(tmp_path)
        assert volume.shape == SHAPE
        assert "Dropped 1 duplicate" in volume.provenance.notes[0]

    def test_other_pixels_at_the_same_place_are_refused(self, tmp_path):
        datasets = make_series(phantom(SHAPE), lps_affine())
        odd = make_series(phantom(SHAPE, seed=9), lps_affine(), series_uid=datasets[0].SeriesInstanceUID)
        save(datasets, tmp_path / "a")
        save(odd[3:4], tmp_path / "b")
        with pytest.raises(ImageError, match=r"different pictures lie at the same place \(1 place, 17.5 mm"):
            medimg.read(tmp_path)
        assert "different pictures" in medimg.list_series(tmp_path)[0].problem

    @pytest.mark.parametrize(
        ("attribute", "values", "words"),
        [
            ("EchoTime", (2.3, 4.6), "echo time 4.6 ms"),
            ("TemporalPositionIdentifier", (1, 2), "time point 2"),
            ("AcquisitionNumber", (1, 2), "acquisition 2"),
            ("DiffusionBValue", (0.0, 800.0), "b-value 800.0"),
        ],
    )
    def test_volumes_of_one_series_are_told_apart(self, tmp_path, attribute, values, words):
        uid, volumes = generate_uid(), [phantom(SHAPE, seed=s) for s in (1, 2)]
        for n, (stored, value) in enumerate(zip(volumes, values, strict=True)):
            datasets = make_series(
                stored, lps_affine(), modality="MR", slope=None, series_uid=uid, **{attribute: value}
            )
            # Times differ in every slice, as they do: they must not be what splits the series.
            for k, ds in enumerate(datasets):
                ds.ContentTime = f"12{n:02d}{k:02d}"
            save(datasets, tmp_path / str(n))
        with pytest.raises(SeriesChoiceError, match="holds 2 series") as caught:
            medimg.read(tmp_path)
        assert words in str(caught.value)
        for number, stored in enumerate(volumes, start=1):
            np.testing.assert_array_equal(medimg.read(tmp_path, series=number).array, stored)
        with pytest.raises(SeriesChoiceError, match="choose by number"):
            medimg.read(tmp_path, series=uid)

    def test_two_attributes_together(self, tmp_path):
        uid, stored = generate_uid(), {}
        for n, (echo, phase) in enumerate([(1, 1), (1, 2), (2, 1), (2, 2)]):
            stored[n] = phantom(SHAPE, seed=n)
            datasets = make_series(
                stored[n], lps_affine(), series_uid=uid, EchoTime=echo, TemporalPositionIdentifier=phase
            )
            save(datasets, tmp_path / str(n))
        infos = medimg.list_series(tmp_path)
        assert len(infos) == 4
        for n in range(4):
            np.testing.assert_array_equal(medimg.read(tmp_path, series=n + 1).array, stored[n] - 1024)

    def test_planes_side_by_side_are_two_volumes(self, tmp_path):
        uid = generate_uid()
        for n, x in enumerate((-100.0, 60.0)):
            affine = lps_affine(origin=(x, 0, 0))
            save(make_series(phantom(SHAPE, seed=n), affine, series_uid=uid), tmp_path / str(n))
        assert [info.shape for info in medimg.list_series(tmp_path)] == [SHAPE, SHAPE]

    def test_echoes_of_an_enhanced_object(self, tmp_path):
        stored = phantom(SHAPE)
        save([make_enhanced(stored, lps_affine(), echo_times=(2.3, 4.6))], tmp_path)
        assert [info.description for info in medimg.list_series(tmp_path)] == [
            "enhanced, echo time 2.3 ms",
            "enhanced, echo time 4.6 ms",
        ]
        np.testing.assert_array_equal(medimg.read(tmp_path, series=2).array, stored + 1)


class TestGaps:
    def test_missing_slices_are_listed(self, tmp_path):
        datasets = make_series(phantom(SHAPE), lps_affine())
        save([ds for k, ds in enumerate(datasets) if k not in (2, 3, 6)], tmp_path)
        with pytest.raises(ImageError, match=r"3 slices are missing, at 15\.0, 17\.5, 25\.0 mm") as caught:
            medimg.read(tmp_path)
        assert "resample_irregular=True" in str(caught.value)
        assert "3 slices are missing" in medimg.list_series(tmp_path)[0].problem

    def test_missing_slices_are_interpolated_on_demand(self, tmp_path):
        affine = lps_affine()
        datasets = make_series(linear(affine), affine)
        save([ds for k, ds in enumerate(datasets) if k not in (2, 3, 6)], tmp_path)
        volume = medimg.read(tmp_path, resample_irregular=True)
        assert volume.shape == SHAPE
        assert volume.spacing == pytest.approx((0.8, 0.9, 2.5))
        assert_linear(volume, np.argwhere(np.ones(SHAPE)))
        assert volume.provenance.slices == ()
        assert "3 slices are missing" in volume.provenance.notes[-1]
        assert volume.provenance.history == ("interpolated onto a regular grid",)
        with pytest.raises(ImageError, match="no source images"):
            source_datasets(volume)

    def test_a_hole_that_no_memory_could_fill(self, tmp_path):
        datasets = make_series(phantom((64, 64, 4)), lps_affine())
        datasets[3].ImagePositionPatient = [-40, -30, 9.0e7]
        save(datasets, tmp_path)
        with pytest.raises(ImageError, match=r"'the regular grid' needs \d+\.\d GiB of memory"):
            medimg.read(tmp_path, resample_irregular=True)

    def test_uneven_spacing(self, tmp_path):
        places = [0.0, 2.0, 4.0, 5.0, 8.0, 10.0, 11.5, 14.0]
        pieces = [lps_affine(origin=(-40, -30, z)) for z in places]
        stored = np.concatenate([linear(affine, (12, 10, 1)) for affine in pieces], axis=2)
        datasets = make_series(stored, pieces[0], ImagePositionPatient=lambda k: [-40, -30, places[k]])
        save(datasets, tmp_path)
        with pytest.raises(ImageError, match=r"unevenly spaced \(1 to 3 mm, median 2 mm\)"):
            medimg.read(tmp_path)
        volume = medimg.read(tmp_path, resample_irregular=True)
        assert volume.shape == SHAPE
        assert volume.spacing[2] == pytest.approx(2.0)
        assert_linear(volume, np.argwhere(np.ones(SHAPE)))

    def test_a_drift_within_each_gaps_tolerance_is_still_found(self, tmp_path):
        places = 2.0 * np.arange(40) + 0.003 * np.arange(40) ** 2
        datasets = make_series(
            phantom((4, 4, 40)), lps_affine(), ImagePositionPatient=lambda k: [0, 0, f"{places[k]:.3f}"]
        )
        assert np.abs(np.diff(places) - np.median(np.diff(places))).max() < 0.13
        with pytest.raises(ImageError, match=r"unevenly spaced|drifts"):
            medimg.read(save(datasets, tmp_path))

    @pytest.mark.parametrize("degrees", [-15.0, 3.0, 20.0])
    def test_a_tilted_gantry_is_refused_or_straightened(self, tmp_path, degrees):
        step = (0.0, 2.5 * np.tan(np.radians(degrees)), 2.5)
        affine = lps_affine(step=step)
        save(make_series(linear(affine), affine), tmp_path)
        with pytest.raises(ImageError, match=rf"sheared by {degrees:.1f} degrees \(tilted gantry\)"):
            medimg.read(tmp_path)
        volume = medimg.read(tmp_path, resample_irregular=True)
        assert volume.is_orthogonal
        assert volume.spacing == pytest.approx((0.8, 0.9, 2.5))
        grid = np.argwhere(np.ones(volume.shape))
        at = (volume.voxel_to_world(grid) * (-1, -1, 1) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        inside = grid[((at > -1e-6) & (at < np.array(SHAPE) - 1 + 1e-6)).all(axis=1)]
        assert len(inside) >= 12 * 9 * 8
        assert_linear(volume, inside)
        outside = grid[((at < -1) | (at > np.array(SHAPE))).any(axis=1)]
        assert (volume.array[tuple(outside.T)] == volume.array.min()).all()

    def test_tilt_of_an_oblique_stack(self, tmp_path):
        q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
        row, column = q[:, 0], q[:, 1]
        affine = lps_affine((row, column), step=np.cross(row, column) * 3 + 0.4 * row - 0.7 * column)
        save(make_series(linear(affine), affine), tmp_path)
        volume = medimg.read(tmp_path, resample_irregular=True)
        grid = np.argwhere(np.ones(volume.shape))
        at = (volume.voxel_to_world(grid) * (-1, -1, 1) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        inside = grid[((at > -1e-6) & (at < np.array(SHAPE) - 1 + 1e-6)).all(axis=1)]
        assert len(inside) >= 11 * 9 * 8
        assert_linear(volume, inside)

    def test_planes_shifted_sideways(self, tmp_path):
        def position(k):
            return [-40.0 + (3.0 if k in (3, 4) else 0), -30.0, 10.0 + 2.5 * k]

        save(make_series(phantom(SHAPE), lps_affine(), ImagePositionPatient=position), tmp_path)
        with pytest.raises(ImageError, match="shifted against one another by up to 3 mm"):
            medimg.read(tmp_path)

    def test_tolerance(self):
        assert tolerance(5.0) == pytest.approx(0.25)
        assert tolerance(1.0) == pytest.approx(0.1)
        assert tolerance(0.1) == pytest.approx(0.02)

    def test_an_orientation_that_is_none(self, tmp_path):
        save(make_series(phantom(SHAPE), lps_affine(), ImageOrientationPatient=[1, 0, 0, 0.3, 1, 0]), tmp_path)
        with pytest.raises(ImageError, match="damaged"):
            medimg.read(tmp_path)
        with pytest.raises(ImageError, match="no pair of unit vectors at right angles"):
            medimg.read(tmp_path / "IM0000")

    def test_a_slightly_skew_orientation_is_repaired_and_said(self, tmp_path):
        save(make_series(phantom(SHAPE), lps_affine(), ImageOrientationPatient=[1, 0, 0, 0.0005, 1, 0]), tmp_path)
        volume = medimg.read(tmp_path)
        assert volume.affine[:3, 0] @ volume.affine[:3, 1] == pytest.approx(0, abs=1e-12)
        assert "was off by 5.0e-04" in " ".join(volume.provenance.notes)


class TestSeveralSeries:
    def test_the_list_and_the_choice(self, tmp_path):
        a = make_series(phantom(SHAPE), lps_affine(), description="thin", SeriesNumber=2)
        b = make_series(phantom((6, 5, 4)), lps_affine(), description="thick", SeriesNumber=3)
        save(a, tmp_path / "a")
        save(b, tmp_path / "b")
        with pytest.raises(SeriesChoiceError) as caught:
            medimg.read(tmp_path)
        lines = str(caught.value).splitlines()
        assert lines[1] == '  1. CT "thin", 12 x 10 x 8 voxels, 0.8 x 0.9 x 2.5 mm'
        assert lines[2] == '  2. CT "thick", 6 x 5 x 4 voxels, 0.8 x 0.9 x 2.5 mm'
        first, second = medimg.list_series(tmp_path)
        assert (first.number, first.uid, second.uid) == (1, a[0].SeriesInstanceUID, b[0].SeriesInstanceUID)
        assert medimg.read(tmp_path, series=2).shape == medimg.read(tmp_path, second.uid).shape == (6, 5, 4)
        assert "Series 2 of 2." in medimg.read(tmp_path, series=2).provenance.notes
        for wrong in (0, 3, -1, "1.2.3"):
            with pytest.raises(SeriesChoiceError, match="no series"):
                medimg.read(tmp_path, series=wrong)
        with pytest.raises(ImageError, match="number of the list or a UID"):
            medimg.read(tmp_path, series=1.0)
        with pytest.raises(ImageError, match="choose a DICOM volume with series="):
            medimg.read(tmp_path, index=0)

    def test_other_orientation_or_pixel_size_is_another_volume(self, tmp_path):
        uid = generate_uid()
        sagittal = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
        for n, affine in enumerate((lps_affine(), lps_affine(sagittal), lps_affine(spacing=(0.5, 0.5, 2.5)))):
            save(make_series(phantom(SHAPE), affine, series_uid=uid), tmp_path / str(n))
        assert len(medimg.list_series(tmp_path)) == 3

    def test_localizers_are_set_aside_and_read_by_uid_only(self, tmp_path):
        series = make_series(phantom(SHAPE), lps_affine())
        scout = make_series(
            phantom((20, 20, 1)),
            lps_affine(((1.0, 0, 0), (0, 0, -1.0))),
            ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        )
        save(series, tmp_path / "a")
        save(scout, tmp_path / "b")
        volume = medimg.read(tmp_path)
        assert volume.shape == SHAPE
        assert "Set aside: 1 x localizer." in volume.provenance.notes
        assert medimg.read(tmp_path, series=scout[0].SeriesInstanceUID).shape == (20, 20, 1)
        with pytest.raises(ImageError, match=r"only this: localizer; name it by series="):
            medimg.read(tmp_path / "b")

    def test_what_is_no_image_is_named(self, tmp_path):
        save(make_series(phantom(SHAPE), lps_affine()), tmp_path / "a")
        dose, contours, seg, screen, colour = make_series(
            phantom((8, 8, 5), 3), lps_affine(), series_uid=generate_uid()
        )
        for ds, sop_class in (
            (dose, XRayRadiationDoseSRStorage),
            (contours, RTStructureSetStorage),
            (seg, SegmentationStorage),
            (screen, SecondaryCaptureImageStorage),
            (colour, SecondaryCaptureImageStorage),
        ):
            ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
        for ds in (dose, contours):
            del ds.Rows, ds.Columns, ds.PixelData
        del screen.ImagePositionPatient
        colour.SamplesPerPixel, colour.PhotometricInterpretation = 3, "RGB"
        save([dose, contours, seg, screen, colour], tmp_path / "b")
        (tmp_path / "README.txt").write_text("no image")
        volume = medimg.read(tmp_path)
        assert volume.shape == SHAPE
        assert volume.provenance.notes == (
            "Set aside: 1 x RT Structure Set, 1 x X-Ray Radiation Dose SR, 1 x colour image (RGB), "
            "1 x image without a position in the patient, 1 x segmentation.",
        )
        with pytest.raises(ImageError, match=r"no image to read, only 1 x RT Structure Set"):
            medimg.read(tmp_path / "b")
        assert medimg.list_series(tmp_path / "b") == ()

    def test_a_mosaic_is_no_slice(self, tmp_path):
        save(make_series(phantom((8, 8, 3)), lps_affine(), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), tmp_path)
        with pytest.raises(ImageError, match="mosaic"):
            medimg.read(tmp_path)

    def test_images_without_a_place_can_be_assumed_one(self, tmp_path):
        (ds,) = make_series(phantom((8, 6, 1)), lps_affine(), modality="OT", slope=None)
        del ds.ImagePositionPatient, ds.ImageOrientationPatient
        save([ds], tmp_path)
        with pytest.raises(ImageError, match="assume_geometry=True"):
            medimg.read(tmp_path)
        volume = medimg.read(tmp_path, assume_geometry=True)
        assert (volume.axcodes, volume.spacing) == ("LPS", pytest.approx((0.8, 0.9, 2.5)))
        assert "left may be right" in " ".join(volume.provenance.notes)

    def test_a_damaged_file_is_set_aside_but_a_damaged_slice_is_not_hidden(self, tmp_path):
        save(make_series(phantom(SHAPE), lps_affine()), tmp_path)
        (tmp_path / "broken").write_bytes(bytes(128) + b"DICM" + b"\x99" * 300)
        assert "Set aside: 1 x " in " ".join(medimg.read(tmp_path).provenance.notes)
        victim = tmp_path / "IM0003"
        victim.write_bytes(victim.read_bytes()[:-50])
        with pytest.raises(ImageError, match="'IM0003' is incomplete: 190 of 240 bytes"):
            medimg.read(tmp_path)


class TestPrivacy:
    def test_no_identifier_in_notes_names_or_errors(self, tmp_path):
        datasets = make_series(phantom(SHAPE), lps_affine())
        texts = []
        whole = save(datasets, tmp_path / "whole")
        _spoil(whole, b"19700102", b"SECRET-D")  # what is no date, pydicom quotes in a warning
        volume = medimg.read(whole)
        texts += [repr(volume), *volume.provenance.notes, *map(str, medimg.list_series(whole))]
        cases = {
            "gap": datasets[:3] + datasets[5:],
            "one": datasets[:1],
        }
        for name, some in cases.items():
            folder = save(some, tmp_path / "SECRET^NAME" / name)
            texts += _messages(folder)
        datasets[2].NumberOfFrames = 7
        texts += _messages(save(datasets[2:3], tmp_path / "frames"))
        data = (whole / "IM0000").read_bytes()
        for cut in (200, 500, 900, len(data) - 20):
            (tmp_path / "cut").write_bytes(data[:cut])
            texts += _messages(tmp_path / "cut")
        (odd,) = make_series(phantom((4, 4, 1)), lps_affine())
        odd.PixelRepresentation = 7
        texts += _messages(save([odd], tmp_path / "SECRET, NAME", ["Name (secret) 1.dcm"]))
        texts += _messages(tmp_path / "SECRET, NAME" / "Name (secret) 1.dcm")
        assert "does not say how its pixels are stored" in texts[-1]
        assert "'file " in texts[-1]
        assert len(texts) > 8
        assert not [text for text in texts if "secret" in _without_source_lines(text).lower()]


def _messages(path) -> list[str]:
    """Everything a user would see of reading a path, a traceback included."""
    try:
        return list(medimg.read(path).provenance.notes)
    except ImageError:
        return [traceback.format_exc()]


def _without_source_lines(trace: str) -> str:
    """A traceback less the lines of source code that it quotes: this file says the word too."""
    return "\n".join(line for line in trace.splitlines() if not line.startswith(("    ", '  File "')))


def _spoil(folder, old: bytes, new: bytes) -> None:
    assert len(old) == len(new)
    for path in folder.iterdir():
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))


def test_reading_is_silent(tmp_path, capfd):
    """No warning (they are errors here), no log line, nothing from C libraries."""
    datasets = make_series(phantom(SHAPE), lps_affine(), modality="MR", slope=None, PatientAge="045Y")
    save(datasets, tmp_path)
    _spoil(tmp_path, b"045Y", b"old!")
    uid = datasets[0].SeriesInstanceUID.encode()
    _spoil(tmp_path, uid, b"x" + uid[1:])  # pydicom warns of it, twice: to Python's warnings and to its log
    volume = medimg.read(tmp_path)
    assert "do not keep to the DICOM standard" in " ".join(volume.provenance.notes)
    assert capfd.readouterr() == ("", "")
