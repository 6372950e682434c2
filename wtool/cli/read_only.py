"""What the commands that only look at models have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from wtool.cli.console import is_debugging, progress_bar, say, say_passed_by, status_of_error
from wtool.cli.json_lines import print_json
from wtool.errors import WtoolError, counted, one_line
from wtool.io.addresses import without_query
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.checkpoint.opener import Opener
    from wtool.run.executors import Work
    from wtool.run.pipeline import Progress


@dataclass(frozen=True, slots=True)
class Look:
    """A look at one model.

    Attributes:
        model: path.
        function: of a module; from the path, and what is told of progress, to what was found.
        size: bytes of the model, where a listing told them.
    """

    model: str
    function: Callable[[str, Progress | None], Any]
    size: int | None = None

    def run(self, opener: Opener, progress: Progress | None = None) -> Any:
        """Look at the model; returns what was found."""
        return self.function(self.model, progress)


@dataclass(frozen=True, slots=True)
class Looking:
    """How a command looks at models, and tells of those that it cannot read.

    Attributes:
        label: of the progress bar.
        told_as: the key that names a model in JSON objects; None where there are none.
        quiet: no progress, and no word but of models that cannot be read.
        jobs: models at a time.
        cluster: address of a cluster that does the work; None for this machine.
    """

    label: str
    told_as: str | None
    quiet: bool
    jobs: int = 1
    cluster: str | None = None

    def found(self, looks: Sequence[Work[Any] | WtoolError]) -> Iterator[Any]:
        """Look at models, one after the other or several at a time.

        Args:
            looks: the work on each model; an error stands for a word that names none, and is told in its turn.

        Yields:
            what was found, in the order of the looks; of a model that cannot be read, the error, which is told already.
        """
        from wtool.run.failed import Failed
        from wtool.run.options import Execution
        from wtool.run.results import results_of

        tasks = [each for each in looks if not isinstance(each, WtoolError)]
        label = f"{self.label} {one_line(without_query(tasks[0].model))}" if len(tasks) == 1 else self.label
        with progress_bar(label, self.quiet) as progress:
            execution = Execution(jobs=self.jobs, cluster=self.cluster, progress=progress)
            with closing(results_of(tasks, execution)) as results:
                for look in looks:
                    found = look if isinstance(look, WtoolError) else next(results)
                    if isinstance(found, WtoolError):
                        say(str(found))
                    elif isinstance(found, Failed):
                        found = self._failed(found)
                    yield found

    def _failed(self, failed: Any) -> WtoolError:
        error: WtoolError = failed.error
        if is_debugging():
            raise error
        if self.told_as is not None:
            print_json({self.told_as: failed.model, "error": error.message})
        say(str(error))
        return error


def each_model(
    words: Sequence[str],
    looking: Looking,
    look: Callable[[str, Progress | None], Any],
    tell: Callable[[Any], int | None],
    shard: str | None = None,
) -> int:
    """Look at each model that the words mean; what cannot be read is a line, and the others go on.

    Args:
        words: files, folders, patterns, or `-`.
        looking: how.
        look: see `Look`.
        tell: tells what was found; may return an exit status.
        shard: `I/N`, for the I-th of N parts of the models; None for all.

    Returns:
        the exit status: the highest that `tell` gave or that an error has.
    """
    looks = _looks(words, look, shard, looking.cluster)
    status, failed = 0, 0
    for each, found in zip(looks, looking.found(looks), strict=True):
        own = status_of_error(found) if isinstance(found, WtoolError) else tell(found) or 0
        status, failed = max(status, own), failed + (own > 0 and isinstance(each, Look))
    if not looking.quiet and looking.told_as is None:
        looked = sum(isinstance(each, Look) for each in looks)
        if failed and looked > 1:
            say(f"{looked - failed:,} of {counted(looked, 'model')} read; {failed:,} failed")
        say_passed_by(words)
    return status


def _looks(
    words: Sequence[str], look: Callable[[str, Progress | None], Any], shard: str | None, cluster: str | None
) -> list[Look | WtoolError]:
    from wtool.checkpoint.inputs import inside, named_models, refuse_two_streams
    from wtool.checkpoint.zoo_part import ZooPart
    from wtool.run.results import refuse_pipes

    part = ZooPart.of(shard)
    refuse_two_streams(words)
    refuse_pipes(words, cluster)
    looks: list[Look | WtoolError] = []
    for word in words:
        try:
            found = [each for each in named_models(word) if part.holds(inside(word, each.path))]
            looks += [Look(each.path, look, each.size) for each in found]
        except WtoolError as error:
            looks.append(error)
    return looks
