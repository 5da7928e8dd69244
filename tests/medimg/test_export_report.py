import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from medimg import Volume
from medimg.export import (
    Finding,
    Picture,
    ReportData,
    StructurePictures,
    StructureResult,
    case_pictures,
    finding_picture,
    overview_pictures,
    structure_pictures,
    write_report,
)
from medimg.export.report_data import best_median_worst
from medimg.export.report_pictures import centre_voxel

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Elements with their attributes, and a check that every one is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(" ".join(data.split()))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(word for word in self.words if word)


def picture(value=10, alt="A slice"):
    return Picture(np.full((20, 30, 3), value, np.uint8), "Axial, slice 1 of 2", alt)


def report():
    liver = StructureResult("liver", 1234.4, 1200.0, 0.914, 0.48, {"other scanner": 0.61})
    aorta = StructureResult("aorta", 33.456, 30.0, 0.81, 0.19, {"other scanner": None})
    odd = StructureResult("<b>odd</b>", 0.123, None, float("nan"), None)
    return ReportData(
        title="Report of <script>alert('x')</script>",
        summary='Six structures & "two" scans',
        facts={"Image": "512 × 512 × 20"},
        structures=(liver, aorta, odd),
        provenance={"Weights SHA-256": "ab" * 32, "Seed": "17"},
        warnings=("The input is unlike the training data: slices of 5 mm.",),
        overview=(picture(1), picture(2), picture(3)),
        cases=(StructurePictures("Best", liver, (picture(4), picture(5), picture(6))),),
        look_next=(Finding("Slice 3 of 20", "Lowest agreement 0.40", picture(7)), Finding("Slice 9", "Uncertain")),
        reference_name="hand-drawn contours",
        other_names=("other scanner",),
    )


@pytest.fixture
def page(tmp_path):
    return Page(write_report(tmp_path / "report.html", report()).read_text(encoding="utf-8"))


def test_everything_said_is_on_the_page(page):
    for words in (
        "Research use only.",
        'Six structures & "two" scans',
        "512 × 512 × 20",
        "hand-drawn contours",
        "1,234",
        "33.5",
        "0.12",
        "0.91",
        "0.48",
        "Best single threshold",
        "Other scanner",
        "0.61",
        "unlike the training data",
        "Slice 3 of 20",
        "Lowest agreement 0.40",
        "ab" * 32,
        "Weights SHA-256",
    ):
        assert words in page.text


def test_text_is_never_markup(page):
    assert "script" not in {tag for tag, _ in page.elements}
    assert "b" not in {tag for tag, _ in page.elements}
    assert "Report of <script>alert('x')</script>" in page.text


def test_nothing_comes_from_outside(tmp_path):
    path = write_report(tmp_path / "report.html", report())
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(|<link|<iframe|<script", text)
    page = Page(text)
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    policies = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_pictures_are_embedded_without_loss(page):
    values = []
    for image in page.all("img"):
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(image["src"].split(",")[1]))))
        assert pixels.shape == (20, 30, 3)
        assert (image["width"], image["height"]) == ("30", "20")
        values.append(int(pixels[0, 0, 0]))
    assert values == [1, 2, 3, 4, 5, 6, 7]


def test_readers_who_do_not_see_get_the_same(page):
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    plot = page.all("svg")[0]
    assert plot["role"] == "img"
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for _, attributes in page.elements:
        for reference in (attributes.get("aria-labelledby") or "").split():
            assert reference in identifiers
    assert all(heading["scope"] in ("row", "col") for heading in page.all("th"))
    assert "Liver 0.91 (best single threshold 0.48), Aorta 0.81 (best single threshold 0.19)." in page.text


def test_dots_stand_where_the_numbers_say(page):
    dots = [float(circle["cx"]) for circle in page.all("circle") if circle["class"] == "dot"]
    ticks = sorted({float(line["x1"]) for line in page.all("line") if line["class"] == "grid"})
    zero, one = ticks[0], ticks[-1]
    assert (dots[0] - zero) / (one - zero) == pytest.approx(0.914, abs=1e-3)
    assert (dots[1] - zero) / (one - zero) == pytest.approx(0.81, abs=1e-3)


def test_without_a_reference_nothing_is_compared(tmp_path):
    bare = ReportData("Title", "Summary", {}, (StructureResult("liver", 5.0),), {"Seed": "1"})
    page = Page(write_report(tmp_path / "report.html", bare).read_text(encoding="utf-8"))
    assert "no reference to compare with" in page.text
    assert not page.all("svg")
    assert "Read this first" not in page.text
    assert "Where to look next" not in page.text
    assert "Research use only." in page.text


def test_a_structure_that_is_nowhere_has_no_number(tmp_path):
    page = Page(write_report(tmp_path / "report.html", report()).read_text(encoding="utf-8"))
    assert "nan" not in page.text.lower().split()
    assert "–" in page.text


def test_same_data_gives_same_bytes(tmp_path):
    one = write_report(tmp_path / "one.html", report()).read_bytes()
    assert write_report(tmp_path / "other.html", report()).read_bytes() == one


def test_best_median_and_worst():
    results = tuple(
        StructureResult(name, 1.0, agreement=value) for name, value in zip("abcde", (0.5, 0.9, 0.1, 0.7, 0.6))
    )
    assert {role: result.name for role, result in best_median_worst(results).items()} == {
        "Best": "b",
        "Median": "e",
        "Worst": "c",
    }
    assert list(best_median_worst(results[:2])) == ["Best", "Worst"]
    assert list(best_median_worst(results[:1])) == ["Best"]
    assert best_median_worst((StructureResult("a", 1.0, agreement=float("nan")),)) == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"agreement": 1.2}, "outside 0 to 1"),
        ({"floor": -0.1}, "outside 0 to 1"),
        ({"volume_ml": -1.0}, "-1.0 ml"),
        ({"volume_ml": float("nan")}, "nan ml"),
    ],
)
def test_impossible_numbers_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        replace(StructureResult("liver", 1.0), **values)


def test_a_picture_needs_words():
    with pytest.raises(ValueError, match="no text in place"):
        picture(alt="")
    with pytest.raises(ValueError, match="uint8"):
        Picture(np.zeros((3, 3)), "a", "b")


@pytest.fixture
def study():
    array = np.zeros((40, 50, 12), np.int16)
    labels = np.zeros(array.shape, np.uint8)
    labels[5:15, 10:30, 2:9] = 1
    labels[25:35, 10:20, 4:11] = 2
    array[labels > 0] = 100
    truth = labels.copy()
    truth[15:18, 10:30, 2:9] = 1
    truth[2:4, 2:4, 2:4] = 3
    volume = Volume(array, np.diag([-2.0, -2.0, 4.0, 1.0]), "HU")
    return volume, volume.with_array(labels, "label"), volume.with_array(truth, "label")


NAMES = {1: "liver", 2: "spleen", 3: "gallbladder"}


def test_pictures_go_through_the_structure(study):
    volume, labels, truth = study
    pictures = structure_pictures(volume, labels, NAMES, 2, truth)
    assert [shown.caption for shown in pictures] == [
        "Axial, slice 8 of 12",
        "Coronal, slice 15 of 50",
        "Sagittal, slice 30 of 40",
    ]
    assert "spleen" in pictures[0].alt
    for shown in pictures:
        coloured = shown.pixels.max(axis=2).astype(int) - shown.pixels.min(axis=2) > 20
        assert coloured.any()
    # What is only in the reference is outlined, and shown where the result has nothing.
    missed = structure_pictures(volume, labels, NAMES, 3, truth)
    assert missed[0].caption == "Axial, slice 3 of 12"
    assert (missed[0].pixels == 255).all(axis=2).any()


def test_cases_and_overview(study):
    volume, labels, truth = study
    results = tuple(StructureResult(NAMES[n], 1.0, agreement=v) for n, v in ((1, 0.9), (2, 1.0), (3, 0.0)))
    cases = case_pictures(volume, labels, NAMES, results, truth)
    assert [(case.role, case.result.name) for case in cases] == [
        ("Best", "spleen"),
        ("Median", "liver"),
        ("Worst", "gallbladder"),
    ]
    overview = overview_pictures(volume, labels, NAMES)
    assert "Liver, Spleen" in overview[0].alt
    assert overview[1].pixels.shape[0] < overview[0].pixels.shape[0]


def test_a_finding_is_shown_where_it_is(study):
    volume, labels, truth = study
    assert finding_picture(volume, labels, NAMES, "axial", 6).alt == "Axial slice 7 of 12."
    about = finding_picture(volume, labels, NAMES, "axial", 2, 3, truth)
    assert about.alt == "Axial slice 3 of 12 about the gallbladder."
    # Nothing of it in this slice: the whole slice is shown.
    assert finding_picture(volume, labels, NAMES, "axial", 11, 3, truth).alt == "Axial slice 12 of 12."


def test_centre_of_a_ring_is_on_the_ring():
    mask = np.zeros((9, 9, 1), bool)
    mask[1:8, 1:8] = True
    mask[2:7, 2:7] = False
    assert mask[centre_voxel(mask)]
    assert centre_voxel(np.zeros((2, 2, 2), bool)) is None
