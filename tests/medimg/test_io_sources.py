"""Folders and zips: what is looked at, and what a hostile archive cannot do."""

import os
import shutil
import stat
import tracemalloc
import zipfile

import numpy as np
import pytest
from dicom_factory import lps_affine, make_series, phantom, save

import medimg
from medimg import ImageError
from medimg.io import sources, write_nifti

SHAPE = (12, 10, 4)


@pytest.fixture
def study(tmp_path):
    return save(make_series(phantom(SHAPE), lps_affine()), tmp_path / "study" / "deep")


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


class TestFolder:
    def test_hidden_files_and_dangling_links_are_passed_over(self, study):
        (study / ".DS_Store").write_bytes(b"x")
        (study / ".hidden").mkdir()
        shutil.copy(study / "IM0000", study / ".hidden" / "IM0000")
        (study / "dangling").symlink_to(study / "nowhere")
        volume = medimg.read(study)
        assert volume.shape == SHAPE
        assert volume.provenance.notes == ()

    def test_a_link_to_a_file_is_read_and_a_loop_of_folders_ends(self, study, tmp_path):
        linked = tmp_path / "linked"
        linked.mkdir()
        for path in study.iterdir():
            (linked / path.name).symlink_to(path)
        (linked / "loop").symlink_to(linked)
        assert medimg.read(linked).shape == SHAPE

    def test_a_pipe_is_not_opened(self, study):
        os.mkfifo(study / "pipe")
        assert medimg.read(study).shape == SHAPE

    def test_too_many_files(self, study, monkeypatch):
        monkeypatch.setattr(sources, "MAX_FILES", 3)
        with pytest.raises(ImageError, match="more than 3 files"):
            medimg.read(study)

    def test_dicom_comes_before_label_maps_beside_it(self, study):
        write_nifti(medimg.Volume(np.zeros((2, 2, 2)), np.eye(4)), study / "labels.nii.gz")
        volume = medimg.read(study)
        assert volume.shape == SHAPE
        assert "labels.nii.gz" in volume.provenance.notes[0]
        assert [info.format for info in medimg.list_series(study)] == ["dicom"]


class TestZip:
    def test_a_study_reads_as_from_its_folder(self, study, tmp_path):
        archive = shutil.make_archive(str(tmp_path / "study"), "zip", study.parent)
        from_zip, from_folder = medimg.read(archive), medimg.read(study)
        np.testing.assert_array_equal(from_zip.array, from_folder.array)
        assert from_zip.same_grid(from_folder)
        assert from_zip.provenance.sha256 == from_folder.provenance.sha256
        assert [s.member for s in from_zip.provenance.slices] == [f"deep/IM{k:04d}" for k in range(4)]

    def test_nothing_is_written_to_disk(self, study, tmp_path, monkeypatch):
        archive = shutil.make_archive(str(tmp_path / "study"), "zip", study)
        shutil.rmtree(study)
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        medimg.read(archive)
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_nifti_file_in_a_zip(self, tmp_path):
        volume = medimg.Volume(phantom(SHAPE), np.diag([1, 2, 3, 1.0]))
        plain = write_nifti(volume, tmp_path / "x.nii.gz")
        archive = zipped(tmp_path / "x.zip", [("a/x.nii.gz", plain.read_bytes()), ("a/readme.txt", b"hello")])
        np.testing.assert_array_equal(medimg.read(archive).array, volume.array)

    @pytest.mark.parametrize("name", ["../../evil", "a/../../evil", "..\\evil"])
    def test_names_that_leave_the_zip(self, study, tmp_path, name):
        members = [(name, (study / "IM0000").read_bytes())]
        with pytest.raises(ImageError, match="outside itself"):
            medimg.read(zipped(tmp_path / "x.zip", members))

    def test_links_are_left_out_and_said(self, study, tmp_path):
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in study.iterdir():
                archive.write(file, file.name)
            link = zipfile.ZipInfo("link")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
        volume = medimg.read(path)
        assert volume.shape == SHAPE
        assert "Left out 1 symbolic link(s) of the zip." in volume.provenance.notes

    def test_a_bomb_is_refused_by_its_own_directory(self, tmp_path):
        path = tmp_path / "bomb.zip"
        zeros = bytes(1 << 20)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", zeros)
        _claim_size(path, len(zeros), 3 << 30)
        with pytest.raises(ImageError, match=r"unpack from 0\.0 MiB to 3\.0 GiB"):
            medimg.read(path)

    def test_a_member_that_lies_about_its_size_is_read_no_further(self, study, tmp_path):
        data = (study / "IM0000").read_bytes() + bytes(64 << 20)
        path = zipped(tmp_path / "x.zip", [("IM", data)])
        _claim_size(path, len(data), 2000)
        tracemalloc.start()
        with pytest.raises(ImageError, match="damaged"):
            medimg.read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20

    def test_memory_holds_one_member_at_a_time(self, tmp_path):
        big = make_series(phantom((512, 512, 1)), lps_affine())[0]
        folder = save([big], tmp_path / "one")
        noise = np.random.default_rng(0).bytes(4 << 20)
        members = [("IM0", (folder / "IM0000").read_bytes())] + [(f"other{k}", noise) for k in range(30)]
        path = zipped(tmp_path / "x.zip", members, zipfile.ZIP_STORED)
        medimg.read(path)
        tracemalloc.start()
        assert medimg.read(path).shape == (512, 512, 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 24 << 20

    def test_damage(self, study, tmp_path):
        whole = zipped(tmp_path / "x.zip", [(p.name, p.read_bytes()) for p in study.iterdir()], zipfile.ZIP_STORED)
        data = bytearray(whole.read_bytes())
        (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
        with pytest.raises(ImageError, match="damaged or incomplete zip"):
            medimg.read(tmp_path / "cut.zip")
        data[len(data) // 3] ^= 0xFF
        (tmp_path / "flipped.zip").write_bytes(data)
        with pytest.raises(ImageError, match=r"damaged \(its checksum"):
            medimg.read(tmp_path / "flipped.zip")

    def test_passwords_and_rare_methods(self, study, tmp_path):
        path = zipped(tmp_path / "x.zip", [("IM", (study / "IM0000").read_bytes())])
        data = bytearray(path.read_bytes())
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.find(signature) + offset] |= 1
        (tmp_path / "locked.zip").write_bytes(data)
        with pytest.raises(ImageError, match="password"):
            medimg.read(tmp_path / "locked.zip")
        data = bytearray(path.read_bytes())
        for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            data[data.find(signature) + offset] = 9  # deflate64
        (tmp_path / "rare.zip").write_bytes(data)
        with pytest.raises(ImageError, match="zip it again with deflate"):
            medimg.read(tmp_path / "rare.zip")

    def test_an_empty_zip(self, tmp_path):
        with pytest.raises(ImageError, match=r"holds no image \(looked at 0 files\)"):
            medimg.read(zipped(tmp_path / "x.zip", []))


def _claim_size(path, true: int, claimed: int) -> None:
    """Write another unpacked size into a zip's headers."""
    data = path.read_bytes()
    assert true.to_bytes(4, "little") in data
    path.write_bytes(data.replace(true.to_bytes(4, "little"), claimed.to_bytes(4, "little")))
