"""How messages name options: as the command line does (`--sparsity`), or as Python does (`sparsity=`).

Messages are written with the names of the command line. Whoever reads them from Python gets the names of arguments.
This module knows the options of all operations by name alone; `tests/test_argument_names.py` holds its tables against
the operations.
"""

from __future__ import annotations

import re

NAMES = {
    "arm": "arms",
    "as": "like",
    "exp": "decay",
    "from": "source",
    "import": "imports",
    "lambda": "lambda_",
    "reinit": "arms",
}
"""Name of an option -> name of the argument, where the two differ in more than `-` and `_`.

`--metric` is `metrics` of some operations and `metric` of others, and stays.
"""

SWITCHES = {
    "allow_nonfinite", "auto_rot", "biases", "doctor", "drop_optimizer", "dry_run", "ensemble", "equal", "exact",
    "fail_fast", "filter_wise", "force", "frozen", "greedy", "hold_zeros", "in_place", "keep_biases", "linear",
    "normalize", "policy", "reverse", "rows", "same_sign", "shuffle", "statistics", "strip", "uniform", "unsafe",
    "unzipped", "verify", "weights",
}  # fmt: skip
"""Arguments that take True and False."""

LISTS = {
    "arms", "attribute", "exclude", "imports", "include", "layers", "lock", "metrics", "rename", "replace", "set",
    "transpose",
}  # fmt: skip
"""Arguments that take a list of texts."""

_COMMAND = r"(`[^`]*`)"
_VALUES = r"'[^']*'|[A-Z][A-Z_.,=]*\b|[0-9][0-9:/x.]*\b|(?:drop|global|keep|linear|max|min|plain|polynomial|zero)\b"
_LAST_WORD = r"(?!it\b|can\b|names\b|none\b|out\b|says\b)[A-Za-z][\w.]*(?=[,:;)]|$)"
_OPTION = rf"--([A-Za-z]+(?:-[a-z]+)*)(?: (?P<value>{_VALUES}|{_LAST_WORD}))?"  # compiled when a message has one

_reader = {"is at the command line": False}


def write_for_command_line(is_so: bool = True) -> None:
    """Has the messages of this process name options as the command line does or, with False, as Python does."""
    _reader["is at the command line"] = is_so


def for_reader(message: str) -> str:
    """Returns a message with the names that whoever runs this process knows."""
    return message if _reader["is at the command line"] or "--" not in message else in_python(message)


def in_python(message: str) -> str:
    """Returns a message with the names of arguments: `--force` becomes `force=True`, `--step 3/10` `step='3/10'`.

    What stands between backticks is a command, and stays.
    """
    parts = re.split(_COMMAND, message)
    return "".join(each if each.startswith("`") else re.sub(_OPTION, _argument, each) for each in parts)


def argument_of(option: str) -> str:
    """Returns the name of the argument that is an option, given without its dashes: `min-value` is `min_value`."""
    return NAMES.get(option, option.replace("-", "_"))


def _argument(found: re.Match[str]) -> str:
    name, value = argument_of(found[1]), found["value"]
    is_on = not (name.startswith("no_") and name[3:] in SWITCHES)
    switch = name if is_on else name[3:]
    if switch in SWITCHES:
        return f"{switch}={is_on}" if value is None else f"{switch}={is_on} {value}"
    if value is None:
        return f"{name}="
    stands = re.fullmatch(r"[0-9]+|[0-9]*\.[0-9]+|[A-Z_.,=]+|'.*'", value)
    told = value if stands else repr(value)
    return f"{name}=[{told}]" if name in LISTS else f"{name}={told}"
