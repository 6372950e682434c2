"""The steps of a lottery experiment: operations on files, in their order. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import pairwise
from typing import Any

from wtool.choices import KEEP, check_choice
from wtool.errors import Usage
from wtool.ops.shrink_options import Shrink
from wtool.option import check_fields, like, option, told
from wtool.run.options import Selection
from wtool.training.lottery.arms import CHANNELS, NEW, PRUNING, Arm, options_of_start, read_arm
from wtool.transforms.criteria import CRITERIA, SHORT
from wtool.transforms.pruning import Prune
from wtool.transforms.schedules import SCHEDULES, sparsity_at
from wtool.transforms.tickets import Randomize
from wtool.values import dataclass

COPY, DRAW, PRUNE, TRAIN, EVALUATE = "copy", "draw", "prune", "resume", "evaluate"
"""Operations beside the re-initialisations, such as taking initial weights as they are, or drawing them anew."""

MEASURED = (TRAIN, EVALUATE)
"""Operations whose metrics are written down."""

DENSE = "dense"
"""Name of the arm that is the network without pruning."""

SEEDS_OF_A_TRIAL = 1000


@dataclass(frozen=True, slots=True)
class Experiment:
    """The parameters of an experiment, without the model and the data.

    Args:
        epochs: of the dense network, counted from its initial weights.
        seed: of all that is random; see `seed_of`.
        sparsity: after the last round.
        rounds: of pruning, re-initialising and training; 1 is one-shot.
        schedule: how the sparsity grows from round to round; see `transforms.schedules`.
        criterion, scope, budget, last_layer_scale, include, exclude: see `wtool.prune`.
        arms: names of arms, each on its own from the dense network on; see `training.lottery.arms`.
        same_sign: see `wtool.randomize`; not for `rewind` and `none`.
        rewind_to: the epoch whose weights, optimizer and count are the initial ones for tickets.
        trials: the first one with the model's own weights, each other with new ones.
        epochs_of_tickets: of each training of a ticket, from the epoch on that it is rewound to; 0 for none. None
            stands for those up to the last epoch of the dense network.

    Raises:
        Usage: numbers out of range, or unknown names.
    """

    epochs: int = field(metadata=told("Of each training.", metavar="N", low=1))
    seed: int
    sparsity: float = option(0.8, "Of kernels, after the last round.", metavar="S")
    rounds: int = option(1, "Of pruning; 1 is one-shot.", metavar="R", low=1)
    schedule: str = option(
        "geometric",
        "Each round prunes the same share of what is left (geometric) or of all (linear), or the first ones most.",
        choices=tuple(SCHEDULES),
        noun="schedule",
    )
    criterion: str = like(Prune, "criterion")
    scope: str | None = like(Prune, "scope")
    budget: str | None = like(Prune, "budget")
    last_layer_scale: float = option(0.5, "The output layer's kernel is pruned to S*F.", metavar="F")
    include: tuple[str, ...] = like(Selection, "include")
    exclude: tuple[str, ...] = like(Selection, "exclude")
    arms: tuple[str, ...] = ("rewind",)
    same_sign: bool = like(Randomize, "same_sign")
    rewind_to: int = option(0, "Tickets begin at the end of this epoch of the dense network.", metavar="K", low=0)
    trials: int = option(1, "Each with new initial weights.", metavar="N", low=1)
    epochs_of_tickets: int | None = option(
        None,
        "Of each training of a ticket, instead of as many as the dense network has left; 0 measures it untrained.",
        metavar="N",
        low=0,
    )

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "criterion", SHORT.get(self.criterion, self.criterion))
        if not 0 < self.sparsity <= 1:
            raise Usage(f"a sparsity of {self.sparsity} is not above 0 and up to 1")
        if min(self.epochs, self.trials, self.rounds) < 1 or self.rounds >= SEEDS_OF_A_TRIAL:
            raise Usage(f"epochs, trials and rounds are counted from 1 up, and rounds are under {SEEDS_OF_A_TRIAL}")
        sparsities(self)
        pruning = Prune(sparsity=self.sparsity, **{name: getattr(self, name) for name in PRUNING})
        object.__setattr__(self, "scope", pruning.scope)
        object.__setattr__(self, "budget", pruning.budget)
        arms = [read_arm(each) for each in self.arms]
        object.__setattr__(self, "arms", tuple(arm.name for arm in arms))
        if not arms or len(set(arms)) != len(arms):
            raise Usage("an experiment has one arm or more, each of them once")
        if self.epochs_of_tickets is not None and self.epochs_of_tickets < 0:
            raise Usage(f"tickets are trained for 0 epochs or more, not {self.epochs_of_tickets}")
        if self.epochs_of_tickets == 0 and self.rounds > 1:
            raise Usage("tickets that are not trained are pruned in one round")
        for arm in arms:
            self._check(arm)

    def _check(self, arm: Arm) -> None:
        """Raise Usage where the words of an arm do not go with the experiment."""
        if not 0 <= self.epoch_of(arm) < self.epochs:
            raise Usage(f"tickets cannot be rewound to epoch {self.epoch_of(arm)} of {self.epochs}")
        if arm.masks is not None and arm.masks.name not in self.arms:
            raise Usage(f"arm {arm.name} needs the masks of an arm {arm.masks.name}; there are {', '.join(self.arms)}")
        if arm.get("counts") and self.criterion == "random":
            raise Usage(f"arm {arm.name} prunes as many weights as the experiment's criterion, which is random too")
        if not arm.is_structured:
            Prune(sparsity=self.sparsity, **self.pruning(arm))
        elif self.include or self.exclude:
            raise Usage(
                f"arm {arm.name} takes out channels of all layers; --include and --exclude name tensors to prune"
            )
        else:
            Shrink(sparsity=self.sparsity, **arm.given(CHANNELS))

    def epoch_of(self, arm: Arm) -> int:
        """Returns the epoch at whose end the tickets of an arm begin."""
        return int(arm.get("rewind_to", self.rewind_to))

    def pruning(self, arm: Arm | None = None) -> dict[str, Any]:
        """Returns the options of pruning but for the sparsity; of the experiment itself, if no arm is given.

        Of a scope and a budget, the arm's own one counts: they are words for the same.
        """
        given = {} if arm is None else arm.given(PRUNING)
        left_out = ("scope", "budget") if "scope" in given or "budget" in given else ()
        return {**{name: getattr(self, name) for name in PRUNING if name not in left_out}, **given}

    def channels(self, arm: Arm, number: int) -> dict[str, Any]:
        """Returns the options with which an arm takes out channels in a round: those of `wtool.shrink`.

        Its sparsity is the share of the channels that the rounds before have left, so that together they take the
        experiment's share of all. Digits behind the twelfth are rounding errors.
        """
        before, after = (0.0, *sparsities(self))[number - 1 : number + 1]
        return {"sparsity": round(1 - (1 - after) / (1 - before), 12), **arm.given(CHANNELS)}

    def start(self, arm: Arm) -> dict[str, Any]:
        """Returns the options of the re-initialisation of an arm that are not its defaults."""
        known = options_of_start(arm.start)
        own = {"same_sign": self.same_sign} if "same_sign" in known else {}
        return {**own, **arm.given(known)}


@dataclass(frozen=True, slots=True)
class Step:
    """An operation on files.

    Attributes:
        operation: `copy`, `draw`, `prune`, `resume` (training), `evaluate` (which makes no file), or what the tickets
            of an arm start from.
        output: path of the result, in the folder of the experiment.
        model: path of what is changed; None for the experiment's own model.
        initial: path of the other checkpoint, where the operation takes one.
        seed: of random numbers.
        trial, arm, round: where in the experiment it belongs; the dense network is arm `dense`, round 0.
        sparsity: that the weights have afterwards.
        start, stop: epochs between which a training is.
    """

    operation: str
    output: str
    model: str | None
    initial: str | None
    seed: int
    trial: int
    arm: str = DENSE
    round: int = 0
    sparsity: float = 0.0
    start: int = 0
    stop: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the files that the step reads."""
        return tuple(path for path in (self.model, self.initial) if path is not None)


def sparsities(experiment: Experiment) -> tuple[float, ...]:
    """Returns the sparsity S_r after each of the R rounds."""
    rounds = range(1, experiment.rounds + 1)
    return tuple(sparsity_at(experiment.schedule, experiment.sparsity, each, experiment.rounds) for each in rounds)


def seed_of(experiment: Experiment, trial: int, number: int = 0) -> int:
    """Returns the seed of a trial's trainings and draws in its round `number`; all trials and rounds differ."""
    return experiment.seed + SEEDS_OF_A_TRIAL * (trial - 1) + number


def steps(experiment: Experiment, extension: str = ".keras") -> list[Step]:
    """Returns all steps of an experiment, each after the steps whose results it reads."""
    return [step for trial in range(1, experiment.trials + 1) for step in _trial(experiment, trial, extension)]


def later_epochs(experiment: Experiment) -> list[int]:
    """Returns the epochs of the dense network, but for the first, at whose ends tickets of any arm begin."""
    arms = map(read_arm, experiment.arms)
    return sorted({experiment.epoch_of(arm) for arm in arms if arm.start != NEW} - {0})


def _trial(experiment: Experiment, trial: int, extension: str) -> Iterator[Step]:
    """Yields the steps of the dense network, then those of one arm after the other."""
    seed = seed_of(experiment, trial)
    arms = [read_arm(name) for name in experiment.arms]
    initial = f"trial-{trial}/initial{extension}"
    yield Step(COPY if trial == 1 else DRAW, initial, None, None, seed, trial)
    stops = [0, *later_epochs(experiment), experiment.epochs]
    dense = {stop: f"trial-{trial}/{_dense_name(experiment, stop)}{extension}" for stop in stops}
    for start, stop in pairwise(stops):
        yield Step(TRAIN, dense[stop], dense[start], None, seed, trial, start=start, stop=stop)
    for arm in sorted(arms, key=lambda arm: arm.masks is not None):  # an arm that makes masks comes first
        if arm.start == NEW:
            yield from _anew(experiment, trial, extension)
        else:
            yield from _arm(experiment, trial, arm, dense, extension)


def _dense_name(experiment: Experiment, epoch: int) -> str:
    """Returns the name of the dense network's checkpoint at the end of an epoch."""
    known = {experiment.rewind_to: "early", experiment.epochs: "trained", 0: "initial"}
    return known.get(epoch, f"early-{epoch}")


def _anew(experiment: Experiment, trial: int, extension: str) -> Iterator[Step]:
    """Yields the steps of the control that trains the dense network from new initial weights."""
    initial, trained = (f"trial-{trial}/{NEW}/{name}{extension}" for name in ("initial", "trained"))
    yield Step(DRAW, initial, None, None, seed_of(experiment, trial, SEEDS_OF_A_TRIAL - 1), trial, NEW)
    yield Step(TRAIN, trained, initial, None, seed_of(experiment, trial), trial, NEW, stop=experiment.epochs)


def _arm(experiment: Experiment, trial: int, arm: Arm, dense: Mapping[int, str], extension: str) -> Iterator[Step]:
    """Prune, re-initialise and train, again and again; `dense` has the dense network's checkpoints by epoch.

    Criteria compare with what the training before began with: after other re-initialisations than rewinding, that is
    not the initial checkpoint. An arm with the masks of another one prunes nothing itself.
    """
    origin, began, trained = dense[experiment.epoch_of(arm)], dense[0], dense[experiment.epochs]
    mask = arm.masks or arm
    criteria = [] if arm.is_structured else [experiment.pruning(arm)["criterion"]]
    criteria += [experiment.criterion] if arm.get("counts") is not None else []
    reads_initial = any(CRITERIA[criterion].reads_initial for criterion in criteria)
    for number, sparsity in enumerate(sparsities(experiment), 1):
        folder = f"trial-{trial}/{arm.name}/round-{number}"
        where = {"trial": trial, "arm": arm.name, "round": number, "sparsity": sparsity}
        pruned = f"trial-{trial}/{mask.name}/round-{number}/pruned{extension}"
        ticket, result = (f"{folder}/{name}{extension}" for name in ("ticket", "trained"))
        drawn, seed = seed_of(experiment, trial, number), seed_of(experiment, trial)
        if mask is arm:
            yield Step(PRUNE, pruned, trained, began if reads_initial else None, drawn, **where)  # type: ignore[arg-type]
        yield Step(arm.start, ticket, pruned, origin, drawn, **where)  # type: ignore[arg-type]
        start = experiment.epoch_of(arm)
        more = experiment.epochs_of_tickets
        ends = {"start": start, "stop": experiment.epochs if more is None else start + more}
        if more == 0:
            yield Step(EVALUATE, f"{folder}/untrained", ticket, None, seed, **where, **ends)  # type: ignore[arg-type]
        else:
            yield Step(TRAIN, result, ticket, None, seed, **where, **ends)  # type: ignore[arg-type]
        began, trained = ticket, result


def is_kept(step: Step, keep: str, rounds: int) -> bool:
    """Returns whether a result is kept when no step needs it any more.

    `all`; `tickets`: initial checkpoints, tickets and the last round's trained models; `last`: initial checkpoints, and
    the last round's tickets and trained models.
    """
    check_choice(keep, "choice of what to keep", KEEP)
    if step.operation == EVALUATE:
        return False
    if keep == "all" or step.operation in (COPY, DRAW):
        return True
    is_between = step.round < rounds and (keep == "last" or step.operation == TRAIN)
    return step.operation != PRUNE and not is_between


def wanted(plan: Sequence[Step], there: Container[str], recorded: Collection[str], kept: Container[str]) -> list[Step]:
    """Returns the steps that have to be done.

    These are the steps whose results must be kept or recorded but are missing, and the steps they depend on.

    Args:
        plan: all steps.
        there: outputs that are whole.
        recorded: outputs of trainings and evaluations whose metrics are written down.
        kept: outputs that stay.
    """
    found: list[Step] = []
    read: set[str] = set()
    for step in reversed(plan):
        is_missing = step.output not in there and (step.output in kept or step.output in read)
        if is_missing or (step.operation in MEASURED and step.output not in recorded):
            found.append(step)
            read.update(step.inputs)
    return found[::-1]
