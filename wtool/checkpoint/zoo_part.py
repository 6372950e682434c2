"""Parts of a zoo: the models that one of several machines or jobs takes, without asking the others."""

from __future__ import annotations

import os
import re

from wtool.errors import Usage
from wtool.values import dataclass

WORD = r"([0-9]{1,9})/([0-9]{1,9})"


@dataclass(frozen=True, slots=True)
class ZooPart:
    """The I-th of N parts of the models below a folder.

    A hash of its path below the folder tells the part of a model, so that it stays there when other models come or go,
    and wherever the folder lies.

    Attributes:
        number: I, from 1.
        count: N.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def of(cls, word: str | None) -> ZooPart:
        """Returns the part that a word `I/N` means; the whole, where there is no word.

        Raises:
            Usage: the word means no part.
        """
        if word is None:
            return cls()
        match = re.fullmatch(WORD, word)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise Usage(f"--shard {word} is no part; 2/8 is the second of eight, and the first is 1/8")
        return cls(int(match[1]), int(match[2]))

    def holds(self, path: str) -> bool:
        """Returns whether a model belongs to this part.

        Args:
            path: of the model below the folder that the user named.
        """
        if self.count == 1:
            return True
        import hashlib  # slow to import, and seldom needed

        name = path.replace(os.sep, "/").encode("utf-8", "surrogateescape")
        place = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")
        return place % self.count == self.number - 1
