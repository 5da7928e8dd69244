"""Cases, patches and splits."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from medimg import ImageError, Volume
from medimg.data import IGNORE, PatchDataset, k_fold, make_case, patch_stream, split
from medimg.transforms.augment import nnunet

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def volumes(shape: tuple[int, int, int] = (40, 36, 20)) -> tuple[Volume, Volume]:
    """An image whose value is the voxel's flat index, and labels: a large 1 and a small 2."""
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    label = np.zeros(shape, np.int16)
    label[5:25, 5:30, 2:18] = 1
    label[30:32, 30:32, 5:7] = 2
    return Volume(image, AFFINE), Volume(label, AFFINE, "label")


class TestCase:
    def test_points_are_where_the_labels_are(self):
        image, label = volumes()
        case = make_case(image, label, points_per_class=100)
        assert case.classes == [1, 2]
        assert len(case.points[1]) == 100
        assert len(case.points[2]) == 8
        for name, points in case.points.items():
            assert np.all(label.array[tuple(points.T)] == name)
        assert np.ptp(case.points[1], axis=0).tolist() == [19, 24, 15]
        assert case.image.shape == (1, 40, 36, 20)
        assert case.image.dtype == np.float32
        assert case.label.dtype == np.uint8
        assert case.spacing == (2, 2, 3)

    def test_slices_without_labels(self):
        image, label = volumes()
        valid = np.zeros(label.shape, bool)
        valid[:, :, :12] = True
        case = make_case(image, label, valid=valid)
        assert case.box == ((0, 0, 0), (40, 36, 12))
        assert np.all(case.label[:, :, 12:] == IGNORE)
        assert case.points[1][:, 2].max() == 11

    def test_channels(self):
        image, label = volumes()
        assert make_case([image, image.with_array(image.array * 2)], label).image.shape[0] == 2

    def test_many_classes(self):
        image, label = volumes()
        big = label.with_array(label.array * 400)
        case = make_case(image, big)
        assert case.classes == [400, 800]
        assert case.label.dtype == np.int32

    def test_refusals(self):
        image, label = volumes()
        elsewhere = Volume(label.array, np.diag([2.0, 2.0, 3.1, 1.0]))
        with pytest.raises(ImageError, match="different grids"):
            make_case(image, elsewhere)
        with pytest.raises(ImageError, match="NaN"):
            make_case(image.with_array(np.full(image.shape, np.nan)), label)
        with pytest.raises(ImageError, match="whole numbers"):
            make_case(image, label.with_array(label.array - 1))
        with pytest.raises(ImageError, match="whole numbers"):
            make_case(image, label.with_array(label.array * 0.5))
        with pytest.raises(ImageError, match="no voxel of this case"):
            make_case(image, label, valid=np.zeros(label.shape, bool))
        with pytest.raises(ImageError, match="`valid` has the shape"):
            make_case(image, label, valid=np.ones((2, 2, 2), bool))


class TestPatchDataset:
    def test_a_patch_is_a_window_of_its_case(self):
        image, label = volumes()
        dataset = PatchDataset([make_case(image, label)], (8, 6, 4), 50, seed=3)
        for index in range(len(dataset)):
            patch = dataset[index]
            assert patch["image"].shape == (1, 8, 6, 4)
            assert patch["label"].dtype == np.int64
            start = np.unravel_index(int(patch["image"][0, 0, 0, 0]), image.shape)
            window = tuple(slice(a, a + n) for a, n in zip(start, (8, 6, 4)))
            assert np.array_equal(patch["image"][0], image.array[window])
            assert np.array_equal(patch["label"], label.array[window])

    def test_depends_on_seed_epoch_and_index_only(self):
        case = make_case(*volumes())
        make = lambda seed: PatchDataset([case, case], (16, 16, 8), 24, seed, augmentation=nnunet((16, 16, 8)))  # noqa: E731
        first, second = make(7), make(7)
        second.set_epoch(5)
        second[3]
        second.set_epoch(0)
        with ThreadPoolExecutor(4) as pool:
            shuffled = list(pool.map(second.__getitem__, reversed(range(24))))[::-1]
        for index in range(24):
            one = first[index]
            assert one["image"].tobytes() == shuffled[index]["image"].tobytes()
            assert one["label"].tobytes() == shuffled[index]["label"].tobytes()
        second.set_epoch(1)
        assert any(first[i]["image"].tobytes() != second[i]["image"].tobytes() for i in range(24))
        assert any(first[i]["image"].tobytes() != make(8)[i]["image"].tobytes() for i in range(24))

    def test_streams_differ(self):
        draws = {patch_stream(s, e, i).random() for s in range(5) for e in range(5) for i in range(5)}
        assert len(draws) == 125
        assert patch_stream(2**63, 3, 4).random() == patch_stream(2**63, 3, 4).random()

    def test_foreground_share_and_class_balance(self):
        image, label = volumes()
        case = make_case(image, label)
        never = PatchDataset([case], (1, 1, 1), 3000, 0, foreground=0)
        seen = Counter(int(never[i]["label"].item()) for i in range(3000))
        share = np.bincount(label.array.ravel()) / label.array.size
        assert seen[1] / 3000 == pytest.approx(share[1], abs=0.03)
        assert seen[2] / 3000 < 0.01
        always = PatchDataset([case], (1, 1, 1), 600, 0, foreground=1)
        seen = Counter(int(always[i]["label"].item()) for i in range(600))
        assert seen[0] == 0
        assert seen[2] / 600 == pytest.approx(0.5, abs=0.07)
        weighted = PatchDataset([case], (1, 1, 1), 600, 0, foreground=1, class_weights={1: 1.0, 2: 9.0})
        assert sum(weighted[i]["label"].item() == 2 for i in range(600)) / 600 == pytest.approx(0.9, abs=0.05)

    def test_patches_stay_in_the_labelled_box(self):
        image, label = volumes()
        valid = np.zeros(label.shape, bool)
        valid[:, :, 3:12] = True
        dataset = PatchDataset([make_case(image, label, valid=valid)], (16, 16, 8), 100, 0)
        starts = set()
        for index in range(100):
            patch = dataset[index]
            assert not np.any(patch["label"] == IGNORE)
            starts.add(int(patch["image"][0, 0, 0, 0]) % 20)
        assert starts == {3, 4}

    def test_patch_larger_than_the_volume(self):
        image, label = volumes()
        dataset = PatchDataset([make_case(image, label, fill=-5)], (16, 16, 31), 10, 0)
        patch = dataset[0]
        assert patch["image"].shape == (1, 16, 16, 31)
        assert np.all(patch["image"][..., :6] == -5)
        assert np.all(patch["label"][..., :6] == IGNORE)
        assert np.all(patch["image"][..., 26:] == -5)
        assert not np.any(patch["image"][..., 6:26] == -5)

    def test_case_weights(self):
        image, label = volumes()
        other = make_case(image.with_array(image.array * 0 - 1), label)
        dataset = PatchDataset([make_case(image, label), other], (4, 4, 4), 400, 0, case_weights=[3, 1])
        assert np.mean([dataset[i]["image"].min() < 0 for i in range(400)]) == pytest.approx(0.25, abs=0.06)

    def test_refusals(self):
        case = make_case(*volumes())
        with pytest.raises(ValueError, match="no case"):
            PatchDataset([], (4, 4, 4), 1, 0)
        with pytest.raises(ValueError, match="patch size"):
            PatchDataset([case], (4, 4), 1, 0)
        with pytest.raises(ValueError, match="share between"):
            PatchDataset([case], (4, 4, 4), 1, 0, foreground=2)
        with pytest.raises(ValueError, match="seed"):
            PatchDataset([case], (4, 4, 4), 1, -1)
        with pytest.raises(ValueError, match="2 case weights"):
            PatchDataset([case], (4, 4, 4), 1, 0, case_weights=[1, 1])
        with pytest.raises(ValueError, match="negative nor all zero"):
            PatchDataset([case], (4, 4, 4), 1, 0, case_weights=[0])
        with pytest.raises(IndexError):
            PatchDataset([case], (4, 4, 4), 1, 0)[1]


GROUPS = [f"patient{n % 11}" for n in range(30)]


class TestSplits:
    def test_k_fold_never_splits_a_group(self):
        folds = k_fold(GROUPS, 4, seed=1)
        assert sorted(i for _, held in folds for i in held) == list(range(30))
        for train, held in folds:
            assert not {GROUPS[i] for i in train} & {GROUPS[i] for i in held}
            assert sorted(train + held) == list(range(30))
            assert 6 <= len(held) <= 9
        assert folds == k_fold(GROUPS, 4, seed=1)
        assert folds != k_fold(GROUPS, 4, seed=2)

    def test_split(self):
        parts = split(GROUPS, (0.6, 0.2, 0.2))
        assert sorted(index for part in parts for index in part) == list(range(30))
        names = [{GROUPS[i] for i in part} for part in parts]
        assert not names[0] & names[1]
        assert not names[0] & names[2]
        assert not names[1] & names[2]
        assert [round(len(p) / 30, 1) for p in parts] == pytest.approx([0.6, 0.2, 0.2], abs=0.11)
        assert all(split(["a", "b"], (0.99, 0.01)))

    def test_refusals(self):
        with pytest.raises(ValueError, match="folds"):
            k_fold(["a", "a", "a"], 2)
        with pytest.raises(ValueError, match="sum to 1"):
            split(GROUPS, (0.5, 0.6))
        with pytest.raises(ValueError, match="as many groups"):
            split(["a", "a"], (0.5, 0.5))
