"""What the HTML report of a study says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.predict.model import Model

if TYPE_CHECKING:
    import numpy as np

    from medimg import Volume
    from medimg.export import Finding, ReportData, StructurePictures, StructureResult

POOR_AGREEMENT = 0.7
MOST_DOUBTS = 3


@dataclass(frozen=True)
class Comparison:
    """A reference to set beside the result: Dice by structure of the result, of a floor, and of other models.

    `reference` lies on the image's grid; `name` says in words what it is and where it was compared. `region` is true
    where it was compared; None is everywhere.
    """

    reference: "Volume"
    name: str
    agreement: Mapping[str, float]
    floor: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    region: "np.ndarray[Any, Any] | None" = None

    def within(self, labels: "Volume") -> "Volume":
        """A label map without what lies outside the region."""
        return labels if self.region is None else labels.with_array(labels.array * self.region)


def report_data(
    model: Model, image: "Volume", labels: "Volume", record: Mapping[str, Any], comparison: Comparison | None = None
) -> "ReportData":
    """Gather a report from a study's result; `record` is the content of its `result.json`."""
    from medimg.export import ReportData
    from medimg.export.report_pictures import case_pictures, overview_pictures

    names = {value: name for name, value in model.card.labels.items()}
    results = _results(model, labels, record, comparison)
    cases: tuple[StructurePictures, ...] = ()
    if comparison is not None:
        compared = comparison.within(labels), comparison.within(comparison.reference)
        cases = case_pictures(image, compared[0], names, results, compared[1])
    total = sum(record["volumes_ml"].values())
    found = sum(value > 0 for value in record["volumes_ml"].values())
    return ReportData(
        title=f"Segmentation of {record['case']}",
        summary=f"{found} of {len(names)} structures found, {total:,.0f} ml together, by the model {model.card.name}.",
        facts=_facts(record),
        structures=results,
        provenance=_provenance(model, record),
        warnings=tuple(_sentence(warning) for warning in record["warnings"]),
        overview=overview_pictures(image, labels, names),
        cases=cases,
        look_next=(*_look_next(results, record), *_least_sure(image, labels, names, record)),
        reference_name=comparison.name if comparison else "reference",
        other_names=tuple(comparison.others) if comparison else (),
    )


def _results(
    model: Model, labels: "Volume", record: Mapping[str, Any], comparison: Comparison | None
) -> "tuple[StructureResult, ...]":
    from medimg.export import StructureResult

    results = []
    for name, value in model.card.labels.items():
        if comparison is None:
            results.append(StructureResult(name, record["volumes_ml"][name]))
            continue
        reference_ml = int((comparison.reference.array == value).sum()) * labels.voxel_volume_ml
        results.append(
            StructureResult(
                name,
                record["volumes_ml"][name],
                reference_ml=reference_ml,
                agreement=comparison.agreement.get(name),
                floor=comparison.floor.get(name),
                others={other: values.get(name) for other, values in comparison.others.items()},
            )
        )
    return tuple(results)


def _facts(record: Mapping[str, Any]) -> dict[str, str]:
    source = record["input"]
    facts = {
        "Format": source["format"],
        "Modality": source["modality"] or "not stated",
        "Values": source["units"],
        "Voxels": " x ".join(map(str, source["shape"])),
        "Voxel size": " x ".join(f"{step:.3g}" for step in source["spacing_mm"]) + " mm",
        "Axes": source["axes"],
    }
    notes = [*record["notes"], *source["notes"]]
    return facts | {f"Note {number}": note for number, note in enumerate(notes, start=1)}


def _provenance(model: Model, record: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Input SHA-256": record["input"]["sha256"] or "not from a file",
        "Weights SHA-256": model.card.weights_sha256,
        "Configuration SHA-256": model.card.config_sha256,
        "Model": f"{model.card.name}, trained {model.card.created}, {model.card.iterations} iterations",
        "Seed": str(model.card.seed),
        "Device": record["device"],
        **record["versions"],
    }


def _look_next(results: "tuple[StructureResult, ...]", record: Mapping[str, Any]) -> "tuple[Finding, ...]":
    """What a reader should check by eye first."""
    from medimg.export import Finding

    found = []
    if record["warnings"]:
        found.append(Finding("The whole result", "The input is unlike the training data, so every border is in doubt."))
    for result in results:
        display = result.structure.display
        if result.volume_ml == 0:
            found.append(
                Finding(display, "Nothing was found; the structure may be outside the field of view, or missed.")
            )
        elif result.agreement is not None and not math.isnan(result.agreement) and result.agreement < POOR_AGREEMENT:
            found.append(Finding(display, f"Its agreement with the reference is low ({result.agreement:.2f})."))
    return tuple(found)


def _least_sure(
    image: "Volume", labels: "Volume", names: Mapping[int, str], record: Mapping[str, Any]
) -> "tuple[Finding, ...]":
    """The slices where the model is least sure, with pictures."""
    from medimg.display import plane_layout
    from medimg.export import Finding
    from medimg.export.report_pictures import finding_picture
    from medimg.structures import structure

    axis = plane_layout(image, "axial").axis
    numbers = {name: number for number, name in names.items()}
    found: list[Finding] = []
    for doubt in record["least_sure"][:MOST_DOUBTS]:
        index, name = doubt["voxel"][axis], doubt["structure"]
        picture = finding_picture(image, labels, names, "axial", index, number=numbers[name])
        where = f"{structure(name).display}, axial slice {index + 1} of {image.shape[axis]}"
        why = f"The model is least sure here: it gives the structure a mean probability of {doubt['probability']:.2f}."
        found.append(Finding(where, why, picture))
    return tuple(found)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
