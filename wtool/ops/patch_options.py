"""Options of `wtool.patch`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.errors import Usage
from wtool.option import Checked, argument, option
from wtool.values import dataclass
from wtool.words import Path


@dataclass(frozen=True, kw_only=True)
class Patch(Checked):
    """Apply a patch file to a model, or give it tensors of another model, constants and new names of layers.

    A patch file is what `wtool diff A B --patch` writes. Applied to A, the tensors become those of B, byte for byte;
    another model is refused. With --reverse, A is made of B.

    Without a patch file, layers are renamed first, then tensors are taken from another model, then constants are set.
    The other model may have other layers around these: the tensors with equal paths and shapes are taken, and all
    others are listed. Everything else of the file stays, to the byte.

    Examples:
        wtool patch a.keras changes.wpatch -o b.keras
        wtool patch b.keras changes.wpatch --reverse -o a.keras
        wtool patch model.keras --from other.h5 --include 'encoder/*' -o new.keras
        wtool patch model.keras --rename dense=head --set 'head/bias=0' -o new.keras
        wtool patch model.keras --set 'embedding/embeddings=@vectors.npy' -o new.keras
        >>> wtool.patch("a.keras", patch="changes.wpatch", output="b.keras")  # doctest: +SKIP
    """

    patch: Path | None = argument(None, "the patch file, or `-` for standard input; None for other values without one.")
    reverse: bool = option(False, "Undo the patch: make the first model of the second.")
    set: Sequence[str] = option(
        (),
        "PATH=NUMBER or PATH=@FILE.npy: a constant, or an array, for tensors with paths like this; repeatable.",
        metavar="GLOB=X",
    )
    source: Path | None = option(None, "A model from which tensors are taken.", metavar="OTHER", words=("from",))
    include: Sequence[str] = option((), "With --from: only tensors with paths like this; repeatable.", metavar="GLOB")
    exclude: Sequence[str] = option((), "With --from: no tensors with paths like this; repeatable.", metavar="GLOB")
    rename: Sequence[str] = option((), "OLD=NEW: another name for a layer; repeatable.", metavar="WORDS")

    def __post_init__(self) -> None:
        super().__post_init__()
        others = {"--set": self.set, "--from": self.source, "--rename": self.rename}
        given = [name for name, value in others.items() if value]
        if self.patch is not None and given:
            raise Usage(f"a patch file says all that changes: no {' and no '.join(given)} beside it")
        if self.patch is None and not given:
            raise Usage("nothing to do: name a patch file, or --set, --from or --rename")
        if self.patch is None and self.reverse:
            raise Usage("--reverse undoes a patch file, and none is named")
        if self.source is None and (self.include or self.exclude):
            raise Usage("--include and --exclude say which tensors are taken --from another model")
