import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.sr._concepts_dict import concepts

from medimg.structures import (
    PRIVATE_SCHEME,
    dicom_cielab,
    groups,
    known_structures,
    members,
    structure,
    totalsegmentator_labels,
)

SNOMED = {code for entries in concepts["SCT"].values() for code in entries}
DEMO = ("liver", "spleen", "stomach", "aorta", "vertebrae", "back_muscles")


def test_every_totalsegmentator_structure_is_in_the_table():
    assert len(totalsegmentator_labels("total")) == 117
    assert len(totalsegmentator_labels("total_mr")) == 50
    assert totalsegmentator_labels()[5] == "liver"
    assert totalsegmentator_labels("total_mr")[19] == "vertebrae"
    for task in ("total", "total_mr"):
        assert set(totalsegmentator_labels(task).values()) <= set(known_structures())


def test_label_tables_are_totalsegmentators_own():
    source = Path(__file__).resolve().parents[2] / "data_samples" / "ct_nifti" / "labels.json"
    for task, labels in json.loads(source.read_text()).items():
        assert totalsegmentator_labels(task) == {int(number): name for number, name in labels.items()}


def test_unknown_task_is_named():
    with pytest.raises(ValueError, match="total_mr"):
        totalsegmentator_labels("bones")


@pytest.mark.parametrize("name", known_structures())
def test_codes_are_where_they_are_said_to_be(name):
    found = structure(name)
    assert found.category.value in SNOMED
    for part in (found.side, found.region):
        assert part is None or part.value in SNOMED
    if found.verified == "pydicom":
        keywords = [word for word, entries in concepts["SCT"].items() if found.type.value in entries]
        meanings = {concepts["SCT"][word][found.type.value][0].casefold() for word in keywords}
        assert found.type.meaning.casefold() in meanings
    elif found.verified == "snomed":
        assert found.type.scheme == "SCT"
        assert verhoeff(found.type.value)
        assert not verhoeff(found.type.value[:-1] + str((int(found.type.value[-1]) + 1) % 10))
    else:
        assert (found.verified, found.type.scheme) == ("private", PRIVATE_SCHEME)
    assert len(found.type.value) <= 16
    assert len(found.type.meaning) <= 64


def test_sides_follow_the_names():
    for name in known_structures():
        side = structure(name).side
        if side is not None:
            assert f"_{side.meaning.casefold()}" in name
    # Their codes name the side themselves.
    assert structure("atrial_appendage_left").type.meaning == "Left auricular appendage"
    assert structure("lung_middle_lobe_right").type.meaning == "Middle lobe of right lung"
    unsided = {name for name in known_structures() if "left" in name or "right" in name if structure(name).side is None}
    assert unsided == {"atrial_appendage_left", "lung_middle_lobe_right"}


def test_two_structures_with_one_code_differ_in_side():
    seen = {}
    for name in known_structures():
        if name in groups():
            continue
        found = structure(name)
        key = (found.type.value, found.region, found.side)
        assert key not in seen, f"{name} and {seen.get(key)} cannot be told apart by their codes"
        seen[key] = name


def test_groups_join_known_structures():
    assert members("back_muscles") == ("autochthon_left", "autochthon_right")
    assert len(members("vertebrae")) == 24
    assert members("liver") == ("liver",)
    for name, joined in groups().items():
        assert name in known_structures()
        assert set(joined) <= set(known_structures())


def test_colours_are_distinct():
    colours = [structure(name).colour for name in known_structures()]
    assert len(set(colours)) == len(colours)
    # Never a grey that could be taken for the image.
    assert min(max(colour) - min(colour) for colour in colours) > 30


@pytest.mark.parametrize("vision", ["normal", "protanopia", "deuteranopia", "tritanopia"])
def test_demo_classes_stay_apart_for_every_kind_of_colour_vision(vision):
    seen = [cielab_d65(simulate(structure(name).colour, vision)) for name in DEMO]
    apart = min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2))
    assert apart > 15


def test_dicom_colour_against_littlecms():
    image = pytest.importorskip("PIL.Image")
    cms = pytest.importorskip("PIL.ImageCms")
    to_lab = cms.buildTransform(cms.createProfile("sRGB"), cms.createProfile("LAB", 5000), "RGB", "LAB")
    for name in (*DEMO, "kidney_left", "urinary_bladder", "brain"):
        colour = structure(name).colour
        lightness, a, b = cms.applyTransform(image.new("RGB", (1, 1), colour), to_lab).getpixel((0, 0))
        expected = np.array([lightness / 255 * 100, a - 128, b - 128])
        ours = np.array(dicom_cielab(colour)) / 65535 * [100, 255, 255] - [0, 128, 128]
        np.testing.assert_allclose(ours, expected, atol=1.0)


def test_dicom_colour_of_white_and_black():
    assert dicom_cielab((255, 255, 255)) == pytest.approx((65535, 32896, 32896), abs=8)
    assert dicom_cielab((0, 0, 0)) == (0, 32896, 32896)


def test_a_name_outside_the_table_is_coded_privately_and_stably():
    found = structure("left_upper_thing")
    assert found == structure("left_upper_thing")
    assert (found.display, found.verified, found.type.scheme) == ("Left upper thing", "private", PRIVATE_SCHEME)
    assert found.type.value != structure("another_thing").type.value
    assert found.side is None


def verhoeff(number: str) -> bool:
    """True where the last digit is SNOMED CT's check digit (Verhoeff's dihedral scheme)."""
    multiply = [[(i + j) % 5 if i < 5 and j < 5 else 0 for j in range(10)] for i in range(10)]
    for i, j in itertools.product(range(10), range(10)):
        rotation, flip = (i % 5, i >= 5)
        other, other_flip = (j % 5, j >= 5)
        turned = (rotation - other if flip else rotation + other) % 5
        multiply[i][j] = turned + 5 * (flip != other_flip)
    permutation = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    while len(permutation) < 8:
        permutation.append([permutation[-1][permutation[1][k]] for k in range(10)])
    check = 0
    for position, digit in enumerate(reversed(number)):
        check = multiply[check][permutation[position % 8][int(digit)]]
    return check == 0


# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
SIMULATION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def simulate(colour, vision):
    """Linear RGB (0..1) as an eye of that kind sees it."""
    encoded = np.array(colour) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(SIMULATION[vision]) @ linear, 0, 1)


def cielab_d65(linear):
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    xyz = np.array(matrix) @ linear / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
