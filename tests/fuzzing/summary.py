"""What became of some cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Summary:
    """What became of some cases: how many of each outcome, what failed, and the slowest in seconds."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, other: Summary) -> None:
        """Add those of others."""
        self.counts.update(other.counts)
        self.failures += other.failures
        self.slowest = max(self.slowest, other.slowest)

    def fail(self, kind: str, seed: int, number: int, what: str) -> None:
        """Count a case that failed."""
        self.counts["failed"] += 1
        self.failures.append(f"{kind}: seed {seed}, case {number}: {what}"[:400])
