"""A grid of arms in a file: a plain list with an arm on each line, which is YAML as well."""

from __future__ import annotations

import io
import os
import re

from wtool.errors import Refused, Usage
from wtool.io.addresses import text_of
from wtool.io.file_object import file_at
from wtool.io.limits import MIB
from wtool.training.lottery.arms import read_arm

_COMMENT = re.compile(r"(^|\s)#.*")


def read_grid(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Returns the names of the arms that a file lists.

    Args:
        path: of the file. Each line has an arm, behind a dash or not, in quotation marks or not; `#` begins a comment.

    Raises:
        Refused: a line is no arm, there is none, or the file is too large for such a list.
        OSError: the file cannot be read.
    """
    with file_at(text_of(path)) as file:
        text = file.read(MIB + 1)
    if len(text) > MIB:
        raise Refused("is too large for a list of arms", text_of(path))
    lines = [_COMMENT.sub("", line).strip() for line in io.StringIO(text.decode("utf-8", "replace"), None)]
    found = []
    for number, line in enumerate(lines, 1):
        try:
            if line not in ("", "---"):
                found.append(read_arm(_unquoted(line.removeprefix("- ").strip())).name)
        except Usage as error:
            raise Refused(f"line {number} is no arm: {error.message}", text_of(path)) from None
    if not found:
        raise Refused("lists no arm; each line is one, such as - randomize,same_sign=no", text_of(path))
    return tuple(found)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
