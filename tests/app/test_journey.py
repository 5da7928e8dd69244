"""One journey in a real browser: open the sample study, look around, open a result, see the overlay on the organ."""

import base64
import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.workspace import LOCAL_OWNER, Workspace
from pipelines.jobs import Job, JobState

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("streamlit")
pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "data_samples" / "ct_dicom"
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LABELS = {"liver": 1, "spleen": 2, "stomach": 3, "aorta": 4, "vertebrae": 5, "back_muscles": 6}
OPACITY = 0.35


@pytest.fixture(scope="module")
def sample() -> tuple[Any, NDArray[np.uint8]]:
    """The sample CT and a label map on its grid."""
    import medimg
    from medimg.transforms import resample_to

    image = medimg.read(SAMPLE)
    whole = medimg.read(SAMPLE / "example_seg_dicom.nii.gz", units="label")
    names = json.loads((REPOSITORY / "data_samples" / "ct_nifti" / "labels.json").read_text())["total"]
    groups = {"vertebrae": "vertebrae_", "back_muscles": "autochthon"}
    wanted = np.zeros(whole.shape, np.uint8)
    for name, value in LABELS.items():
        members = [int(n) for n, label in names.items() if label == name or label.startswith(groups.get(name, name))]
        wanted[np.isin(whole.array, members)] = value
    return image, resample_to(whole.with_array(wanted), image, label=True).array.astype(np.uint8)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, sample: tuple[Any, NDArray[np.uint8]]) -> Iterator[str]:
    """The running app, with two finished segmentations of the sample: the second has no spleen."""
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium at /usr/bin/chromium")
    work = Workspace(tmp_path_factory.mktemp("journey"))
    image, labels = sample
    _finish(work, "a" * 16, image, labels)
    _finish(work, "b" * 16, image, np.where(labels == LABELS["spleen"], 0, labels).astype(np.uint8))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(work.folder / "server.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "app", "--work", str(work.folder), "--port", str(port), "--no-browser"],
            cwd=REPOSITORY,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, work.folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        tab = browser.new_context(viewport={"width": 1500, "height": 980}).new_page()
        tab.set_default_timeout(60_000)
        tab.requests = []
        tab.on("request", lambda request: tab.requests.append(request.url))
        yield tab
        browser.close()


def test_a_study_is_opened_scrolled_and_windowed_without_asking_the_server(page: Any, address: str) -> None:
    sent: list[Any] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(len(frame))))
    page.goto(address)
    page.get_by_role("button", name="Open").first.click()
    _painted(page)
    for plane in ("axial", "coronal", "sagittal"):
        assert _brightness(page, plane) > 2.0, f"nothing is seen in the {plane} plane"
    page.wait_for_timeout(1500)
    sent.clear()

    canvas = page.locator("canvas[data-plane=axial]")
    start = _position(page)
    canvas.hover()
    page.mouse.wheel(0, 120)
    _until(page, lambda: _position(page)[2] != start[2])
    assert start[2] - _position(page)[2] == pytest.approx(2.0, abs=0.01)  # one slice towards the feet
    canvas.press("ArrowUp")
    _until(page, lambda: _position(page)[2] == pytest.approx(start[2], abs=0.01))
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.3, "y": box["height"] * 0.5})
    _until(page, lambda: _position(page)[0] > start[0] + 20)  # left of the picture is the patient's right
    before = _brightness(page, "axial")
    page.get_by_role("button", name="Lung").click()
    _until(page, lambda: _brightness(page, "axial") > before * 1.2)  # a lung window whitens soft tissue
    page.get_by_role("button", name="Radiological").click()
    canvas.click(position={"x": box["width"] * 0.3, "y": box["height"] * 0.5})
    _until(page, lambda: _position(page)[0] < start[0] - 20)
    assert sent == []
    assert all(url.startswith((address, "blob:", "data:")) for url in page.requests), "something was fetched elsewhere"


def test_the_overlay_lies_on_the_organ(page: Any, address: str, sample: tuple[Any, NDArray[np.uint8]]) -> None:
    image, labels = sample
    page.goto(address)
    page.get_by_role("link", name="Result").click()
    page.get_by_role("combobox").first.wait_for()
    _choose(page, 1)
    _painted(page)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SCREENSHOTS / "result.png"))

    from medimg.display import window_of
    from medimg.structures import structure

    level, width = window_of(image)
    for name in ("liver", "spleen"):
        voxel = _deep_inside(labels == LABELS[name])
        world = (image.affine @ [*voxel, 1.0])[:3]
        # The crosshair goes elsewhere in the same slice, so that its lines do not cover the pixel that is read.
        aside = [float(mm) for mm in world + np.array([25.0, 25.0, 0.0])]
        _viewer(page, f"viewer.goTo({aside})")
        page.wait_for_timeout(400)
        with_overlay = _pixel(page, "axial", world)
        _toggle(page, name)
        bare = _pixel(page, "axial", world)
        _toggle(page, name)
        expected = np.clip((float(image.array[voxel]) - (level - width / 2)) / width * 255, 0, 255)
        assert bare == pytest.approx([expected] * 3, abs=12), "the picture shows another place than the file"
        mixed = np.array(bare) * (1 - OPACITY) + np.array(structure(name).colour) * OPACITY
        assert with_overlay == pytest.approx(mixed.tolist(), abs=12), "the overlay is not on the organ"
    # Seen from the feet: the liver at the left of the picture, the spleen at its right.
    assert _middle(page, "liver") < 0.45 < 0.55 < _middle(page, "spleen")


def test_the_canvas_stays_when_the_page_around_it_changes(page: Any, address: str) -> None:
    page.goto(f"{address}/result?result={'a' * 16}")
    _painted(page)
    _viewer(page, "mark = 'same'")
    assert page.locator("[data-structure]").count() == 6
    first = _viewer(page, "viewer.id")
    _choose(page, 0)
    _until(page, lambda: _viewer(page, "viewer.id") != first)
    assert _viewer(page, "mark") == "same"
    # What was set in the viewer is still so after a visit to another page.
    page.get_by_role("button", name="Bone").click()
    page.get_by_role("link", name="About").click()
    page.get_by_role("heading", name="This computer").wait_for()
    page.get_by_role("link", name="Result").click()
    _painted(page)
    assert page.get_by_role("button", name="Bone").get_attribute("aria-pressed") == "true"


def _finish(work: Workspace, job_id: str, image: Any, labels: NDArray[np.uint8]) -> None:
    """A finished segmentation job, as `pipelines.predict` leaves it."""
    from medimg.io import write_nifti

    folder = work.folder / "jobs" / job_id
    outputs = folder / "outputs"
    outputs.mkdir(parents=True)
    write_nifti(image.with_array(labels, units="label"), outputs / "segmentation.nii.gz")
    volumes = {name: float((labels == value).sum() * image.voxel_volume_ml) for name, value in LABELS.items()}
    record = {
        "input": {"sha256": image.provenance.sha256},
        "labels": LABELS,
        "volumes_ml": volumes,
        "warnings": [],
        "outputs": {"nifti": {"file": "segmentation.nii.gz"}},
    }
    (outputs / "result.json").write_text(json.dumps(record))
    now = time.time()
    Job(
        id=job_id,
        folder=folder,
        kind="predict",
        title="Upper abdomen, CT \u2014 demo",
        command=(),
        owner=LOCAL_OWNER,
        state=JobState.FINISHED,
        created=now,
        started=now,
        ended=now + 9,
        exit_code=0,
        context={"study": "sample-ct-dicom", "series": ""},
    ).write()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def _viewer(page: Any, expression: str) -> Any:
    return page.locator(".voxhelix").evaluate(f"root => root.{expression}")


def _painted(page: Any) -> None:
    page.locator("canvas[data-plane=axial]").wait_for()
    _until(page, lambda: _viewer(page, "dataset.painted") is not None)
    page.wait_for_timeout(500)


def _position(page: Any) -> list[float]:
    text = page.locator(".status").get_attribute("data-position")
    return [float(part) for part in text.split()]


def _pixels(page: Any, plane: str) -> NDArray[np.uint8]:
    """The canvas as (height, width, 3)."""
    script = """canvas => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let text = '';
      for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at], data[at + 1], data[at + 2]);
      return [canvas.height, canvas.width, btoa(text)];
    }"""
    height, width, text = page.locator(f"canvas[data-plane={plane}]").evaluate(script)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 3)


def _brightness(page: Any, plane: str) -> float:
    return float(_pixels(page, plane).mean())


def _pixel(page: Any, plane: str, world: NDArray[np.float64]) -> list[float]:
    page.wait_for_timeout(200)
    x, y = _viewer(page, f"viewer.locate('{plane}', {json.dumps(world.tolist())})")
    patch = _pixels(page, plane)[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].astype(float)
    return [float(value) for value in patch.mean(axis=(0, 1))]


def _toggle(page: Any, name: str) -> None:
    page.locator(f"[data-structure='{LABELS[name]}']").click()
    page.mouse.move(5, 500)  # the structure under the pointer is shown stronger
    page.wait_for_timeout(300)


def _middle(page: Any, name: str) -> float:
    """Where the overlay of a structure lies from left (0) to right (1), told by what changes when it is hidden."""
    shown = _pixels(page, "axial").astype(int)
    _toggle(page, name)
    changed = np.abs(_pixels(page, "axial").astype(int) - shown).sum(axis=2) > 20
    _toggle(page, name)
    assert changed.sum() > 500
    return float(np.argwhere(changed)[:, 1].mean() / changed.shape[1])


def _deep_inside(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """The voxel that is farthest from the border of the mask within its slice."""
    from scipy.ndimage import distance_transform_edt

    depth = np.stack([distance_transform_edt(mask[:, :, k]) for k in range(mask.shape[2])], axis=2)
    i, j, k = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(i), int(j), int(k)


def _choose(page: Any, index: int) -> None:
    """Choose the newest (0) or an older (1) of the two results."""
    page.get_by_role("combobox").first.click()
    page.get_by_role("option").nth(index).click()
    page.wait_for_timeout(800)


def _until(page: Any, condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this should have happened by now"
        page.wait_for_timeout(50)
