"""Progress: of the passes over one file, and of many files."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.words import Progress


class Passes:
    """Progress of the work on one file, in bytes: looking, if anything has to be looked at, is half of it.

    Args:
        progress: called with bytes done and bytes in all; None where nobody wants to know.
        size: bytes in all.
    """

    def __init__(self, progress: Progress | None, size: int) -> None:
        self._progress = progress
        self._size = size
        self._looked = 0.0

    def look(self, done: int, total: int) -> None:
        """A part of a pass that only looks; further ones begin where the first ended."""
        self._looked = max(self._looked, 0.5 * done / max(1, total))
        self._report(self._looked)

    def write(self, done: int, total: int) -> None:
        """A part of the pass that writes."""
        self._report(self._looked + (1 - self._looked) * done / max(1, total))

    def _report(self, share: float) -> None:
        if self._progress is not None:
            self._progress(int(share * self._size), self._size)


class Meter:
    """Progress over many models, in bytes of their files.

    Args:
        progress: called with bytes done and bytes in all; None where nobody wants to know.
        sizes: bytes of each model.

    Attributes:
        sizes: the same.
    """

    def __init__(self, progress: Progress | None, sizes: Sequence[int]) -> None:
        self._progress = progress
        self.sizes = sizes
        self._total = sum(sizes)
        self._done = [0] * len(sizes)
        self._done_of_all = 0

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to know."""
        return self._progress is not None

    def of(self, number: int) -> Progress | None:
        """The progress of one model."""
        if not self.is_watched:
            return None
        return lambda done, total: self.reached(number, done / max(1, total))

    def reached(self, number: int, share: float) -> None:
        """Tell that a model has come so far, 0 to 1."""
        if self._progress is not None:
            done = int(share * self.sizes[number])
            self._done_of_all += done - self._done[number]
            self._done[number] = done
            self._progress(self._done_of_all, self._total)

    def finished(self, number: int) -> None:
        """Tell that a model is done, or has failed."""
        self.reached(number, 1.0)
