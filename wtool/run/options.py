"""The options of everything that makes one model of one, in groups that the command line and Python share."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from wtool.choices import OPTIMIZER_CONVERSIONS, OPTIMIZER_MODES
from wtool.errors import Usage
from wtool.option import Checked, argument, option
from wtool.values import dataclass
from wtool.words import Path, Progress

if TYPE_CHECKING:
    from wtool.transforms.change import Transform

CLUSTER = r"local:[1-9][0-9]{0,3}|(tcp|tls)://[^/@?#]+:[0-9]{1,5}"
"""What names a cluster: `local:8`, or the address of a scheduler."""


@dataclass(frozen=True, kw_only=True)
class Output(Checked):
    """What becomes of the optimizer, and where the result goes.

    The output is a file, a folder for many models (it ends in a slash or exists), or `-` for standard output; by
    default it is `<stem>-<operation><ext>` beside each model. The optimizer's modes: `follow` (what was rewritten loses
    its momentum), `keep`, `reset` or `drop`; None, from Python, is the default.
    """

    optimizer: str = option(
        "follow", "What becomes of the optimizer's state.", choices=OPTIMIZER_MODES, noun="optimizer mode"
    )
    output: Path | None = option(
        None, "A file, a folder for many models (pruned/), or - for standard output.", short="-o", metavar="PATH"
    )
    in_place: bool = option(False, "The model itself is the output.")

    def __post_init__(self) -> None:
        mode: Any = self.optimizer
        if mode is None:
            object.__setattr__(self, "optimizer", type(self).optimizer)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class Selection(Checked):
    """Which tensors an operation is about: kernels of every kind and biases, and others where `include` names them."""

    include: Sequence[str] = option(
        (), "Only tensors with paths like this (dense*/kernel); repeatable.", metavar="GLOB"
    )
    exclude: Sequence[str] = option((), "No tensors with paths like this; repeatable.", metavar="GLOB")
    weights: bool = option(True, "Kernels of every kind.")
    biases: bool = option(False, "Biases.", has_negation=True)


@dataclass(frozen=True, kw_only=True)
class Seed(Checked):
    """The seed of operations that draw random numbers."""

    seed: int | None = option(
        None,
        "Of the random numbers; a fresh one by default.",
        metavar="N",
        low=0,
        wrong="a seed is a whole number from 0 up, and not negative",
    )


@dataclass(frozen=True, kw_only=True)
class Execution(Checked):
    """How the work on many models is done."""

    dry_run: bool = option(False, "Say what would be done, in a table; write nothing.", short="-n")
    force: bool = option(False, "Replace an existing output.", short="-f")
    jobs: int = option(1, "Models at a time.", short="-j", low=1, wrong="at least one model at a time (--jobs 1)")
    fail_fast: bool = option(False, "Stop at the first model that fails.")
    cluster: str | None = option(
        None, "Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.", metavar="ADDRESS"
    )
    shard: str | None = option(None, "The I-th of N parts of the models alone, for many jobs.", metavar="I/N")
    progress: Progress | None = argument(None, "called with bytes done and bytes in all.")
    report: Callable[[Any], None] | None = argument(
        None, "called with the result of each model, in the order of the models."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_executor(self.jobs, self.cluster)


def check_executor(jobs: int, cluster: str | None) -> None:
    """Raise Usage if a cluster has no address, or models are to be done here as well."""
    if cluster is None:
        return
    if not re.fullmatch(CLUSTER, cluster):
        raise Usage(
            f"--cluster {cluster} is no cluster; write tcp://HOST:PORT, tls://HOST:PORT, or local:8 for 8 workers"
        )
    if jobs != 1:
        raise Usage("--jobs works on this machine, and --cluster on others; give one of them")


@dataclass(frozen=True, kw_only=True)
class Batch(Execution):
    """How the work on many models is done, and what becomes of their results."""

    collect: bool = argument(True, "whether the results are returned, and not only reported.")


@dataclass(frozen=True, kw_only=True)
class Common(Batch, Seed, Output):
    """The options of everything that makes one model of one."""


@dataclass(frozen=True, kw_only=True)
class Unseeded(Batch, Output):
    """The same, where no random numbers are drawn."""


@dataclass(frozen=True, kw_only=True)
class Keeping(Unseeded):
    """The same, where all values stay, and the optimizer's state stays whole or is left out."""

    optimizer: str = option(
        "keep", "What becomes of the optimizer's state.", choices=OPTIMIZER_CONVERSIONS, noun="optimizer mode"
    )


@dataclass(frozen=True, kw_only=True)
class KeepingSeeded(Seed, Keeping):
    """The same, where random numbers are drawn for the search of the result."""


@dataclass(frozen=True, kw_only=True)
class Options(Batch, Seed, Selection, Output):
    """The options that all transforms of single models share."""


@dataclass(frozen=True, kw_only=True)
class TicketOptions(Options):
    """The same, where the result is the initial checkpoint, changed: its optimizer stays as it is by default."""

    optimizer: str = option(
        "keep", "What becomes of the initial checkpoint's optimizer.", choices=OPTIMIZER_MODES, noun="optimizer mode"
    )


@dataclass(frozen=True, kw_only=True)
class Initial(Checked):
    """The initial checkpoint of operations that read one."""

    initial: Path | None = option(None, "The initial checkpoint, or any earlier one.", metavar="INIT")


def shared_by(kind: type[Transform]) -> type[Options]:
    """Returns the group of options that a transform shares with others."""
    return TicketOptions if kind.of_initial else Options


def needs_initial(kind: type[Transform]) -> bool:
    """Returns whether a transform reads the initial checkpoint whatever its options are."""
    always: Any = kind.reads_initial  # a property where that depends on the other options
    return always is True


def groups_of(kind: type[Transform]) -> tuple[type, ...]:
    """Returns the dataclasses whose fields are the options of a transform, in the order in which they are shown."""
    ever: Any = kind.reads_initial
    if needs_initial(kind):
        return Initial, kind, shared_by(kind)
    return (kind, shared_by(kind)) if ever is False else (kind, Initial, shared_by(kind))


def refuse_unknown(operation: str, options: Iterable[str], known: Collection[str]) -> None:
    """Refuse options that do not exist, as Python itself would, and suggest the ones that were meant.

    Args:
        operation: its name, for the message.
        options: names of what was given by keyword.
        known: names of the options that exist.

    Raises:
        TypeError: an option does not exist.
    """
    unknown = sorted({*options} - {*known})
    if unknown:
        from difflib import get_close_matches  # slow to import, and seldom needed

        names = sorted(known)
        meant = [near for name in unknown for near in get_close_matches(name, names, n=1)]
        hint = f"; did you mean {', '.join(meant)}?" if meant else f"; its options are {', '.join(names)}"
        raise TypeError(f"{operation} has no option {', '.join(unknown)}{hint}")
