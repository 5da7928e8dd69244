"""What medimg raises for images it cannot or must not use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medimg.io.series import SeriesInfo


class ImageError(ValueError):
    """An image that cannot be read, or must not be used as it is.

    The text is one sentence or a short list that says what is wrong, where, and what to do. It never holds a
    patient's name, number or birth date.
    """


class SeriesChoiceError(ImageError):
    """Several series fit and none was named; `series` lists them in the order of their numbers."""

    def __init__(self, message: str, series: "tuple[SeriesInfo, ...]") -> None:
        super().__init__(message)
        self.series = series
