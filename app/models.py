"""The trained models that the app offers. A folder without a readable card is named, but cannot be chosen."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import app
from app.workspace import Workspace
from pipelines.card import Card, read_card
from pipelines.errors import ModelError

_CHECKOUT = Path(app.__file__).resolve().parent.parent
_DEPTH = 4


@dataclass(frozen=True)
class ModelChoice:
    """A folder with weights: its card, or the reason why it cannot be used."""

    folder: Path
    card: Card | None
    problem: str = ""

    @property
    def title(self) -> str:
        """Name and day of training."""
        if self.card is None:
            return self.folder.name
        return f"{self.card.name} ({self.card.created[:10]})"


def find_models(place: Workspace) -> list[ModelChoice]:
    """Models under the `runs` of workspace, current folder and checkout; usable ones first, newest first."""
    roots = dict.fromkeys(root.resolve() for root in (place.runs, Path.cwd() / "runs", _CHECKOUT / "runs"))
    choices = [_choice(folder) for folder in dict.fromkeys(_folders_with_weights(roots))]
    return sorted(choices, key=_rank, reverse=True)


def _rank(choice: ModelChoice) -> tuple[bool, str]:
    return choice.card is not None, choice.card.created if choice.card else ""


def _folders_with_weights(roots: Iterable[Path]) -> Iterable[Path]:
    for root in roots:
        for depth in range(1, _DEPTH + 1):
            for weights in sorted(root.glob("/".join(["*"] * depth) + "/model.safetensors")):
                yield weights.parent


def _choice(folder: Path) -> ModelChoice:
    try:
        return ModelChoice(folder, read_card(folder))
    except ModelError as error:
        return ModelChoice(folder, None, str(error))
