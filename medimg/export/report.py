"""One self-contained HTML page with the result, its agreement, its pictures and what made it."""

import base64
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from framework.core.files import atomic_write
from medimg.export.report_data import ReportData, StructureResult, defined

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(path: str | os.PathLike[str], report: ReportData) -> Path:
    """Write `report` as one HTML file without scripts, fonts or anything else from outside.

    Pictures are embedded and a content security policy forbids every request, so the file shows the same in an archive
    or offline. It follows the reader's light or dark setting and prints on A4. All text is escaped. The same data gives
    the same bytes.
    """
    target = Path(path)
    page = _environment().get_template("report.html.jinja").render(report=report)
    with atomic_write(target, "w", encoding="utf-8", newline="\n") as file:
        file.write(page)
    return target


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"ml": _ml, "dice": _dice, "png": _png, "sentence": _sentence}
    environment.tests["defined_number"] = defined
    environment.globals["plot"] = _plot
    return environment


def _ml(value: float | None) -> str:
    """Millilitres with the digits that a segmentation supports."""
    if not defined(value) or value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _dice(value: float | None) -> str:
    return f"{value:.2f}" if defined(value) else "–"


def _sentence(text: str) -> str:
    """The text with a capital first letter; the rest keeps its own."""
    return text[:1].upper() + text[1:]


def _png(pixels: NDArray[Any]) -> str:
    """A picture as a data URI."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _plot(report: ReportData) -> list[dict[str, Any]]:
    """The rows of the dot plot, best first: name, colour and positions (0 to 1) of the result, the floor and others."""
    compared = [result for result in report.structures if defined(result.agreement)]
    return [_plot_row(result, report) for result in sorted(compared, key=lambda r: -(r.agreement or 0.0))]


def _plot_row(result: StructureResult, report: ReportData) -> dict[str, Any]:
    others = [result.others.get(name) for name in report.other_names]
    return {
        "display": result.structure.display,
        "colour": result.structure.hex_colour,
        "agreement": result.agreement,
        "floor": result.floor if defined(result.floor) else None,
        "others": [value if defined(value) else None for value in others],
    }
