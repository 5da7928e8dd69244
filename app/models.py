"""The trained models that the app offers. A folder without a readable card is named, but cannot be chosen."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.workspace import Workspace
from medimg.structures import structure
from pipelines.card import Card, read_card
from pipelines.errors import ModelError

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
        return f"{self.card.name}, trained {self.card.created[:16].replace('T', ' ')}"

    @property
    def agreement(self) -> str:
        """Dice on what training never saw, where the card has it."""
        scores = self.card.scores.get("agreement_dice_unseen", {}) if self.card else {}
        known = [(structure(name).display, value) for name, value in scores.items() if value is not None]
        return ", ".join(f"{display} {value:.2f}" for display, value in known)


def find_models(place: Workspace) -> list[ModelChoice]:
    """All models that there are; usable ones first, of those the ones with scores, then the newest."""
    choices = [_choice(folder) for folder in dict.fromkeys(_folders_with_weights(place.run_roots))]
    return sorted(choices, key=_rank, reverse=True)


def _rank(choice: ModelChoice) -> tuple[bool, bool, str]:
    if choice.card is None:
        return False, False, ""
    return True, bool(choice.card.scores), choice.card.created


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
