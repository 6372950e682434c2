"""Options of `wtool.run_recipe`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from wtool.option import argument, like
from wtool.run.options import Batch, Output
from wtool.values import dataclass
from wtool.words import Models, Path


@dataclass(frozen=True, kw_only=True)
class RunRecipe(Batch):
    """Do the operations of a recipe, each to what the one before makes, in as few passes as possible.

    A recipe is a list of operations with their options, in YAML: those of the command line, with its words and values.
    The recipe is checked whole before anything is done. The result has the bytes that the commands make one by one,
    with pipes between them.

    The models are put through the recipe one by one. Without --output, a result is called `<stem>-<recipe><ext>` and
    lies beside its model. A recipe that names all of its inputs takes no models, and makes `<recipe><ext>` in the
    current folder.

    Examples:
        wtool run thin.yaml trained.keras -o thin.keras
        wtool run thin.yaml zoo/ -o out/ -j 2
        wtool run thin.yaml zoo/ -o out/ --dry-run
        >>> wtool.run_recipe("thin.yaml", models="trained.keras", output="thin.keras")  # doctest: +SKIP
    """

    models: Models | None = argument(
        None, "files, folders (searched for models), patterns, or `-` for standard input; None for a recipe without."
    )
    output: Path | None = like(Output, "output")
