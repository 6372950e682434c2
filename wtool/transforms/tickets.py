"""Lottery tickets: what the weights that survived pruning start from, when training begins again.

The mask is where the pruned model is not zero. Everything else is the initial checkpoint's.
Source: Frankle & Carbin, arXiv:1803.03635; Zhou, Lan, Liu & Yosinski, arXiv:1905.01067, sections 3 (what kept weights
start from) and 4 (what pruned weights are).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from wtool.choices import PRUNED
from wtool.option import Checked, option
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.transforms.change import Data, Prepared

SAME_SIGN = partial(option, True, "Keep the sign of each initial value.")
KEEP_BIASES = partial(option, False, "Keep the initial biases, instead of zero.")
PRUNED_ARE = partial(
    option,
    "zero",
    "What pruned weights are: zero, or their initial values, held in training.",
    choices=PRUNED,
    noun="value of pruned weights",
    is_recorded=False,
)
"""Options of several transforms; a field belongs to one class, so each makes its own."""


class _EmptiesBiases(Checked):
    """What the LTH API does to the biases beside re-initialised kernels."""

    __slots__ = ()
    keep_biases: bool

    @property
    def empties_biases(self) -> bool:
        """Unless they are to be kept."""
        return not self.keep_biases


@dataclass(frozen=True, slots=True)
class Rewind(Checked):
    """Give the initial checkpoint the mask of a pruned model: initial values where that is not zero, zero elsewhere.

    The initial checkpoint may be any earlier one; all else in the results is its own, optimizer included. With
    `pruned` as `initial`, pruned weights have their initial values too, and `resume` holds them there.

    Examples:
        wtool rewind pruned.keras --initial init.keras -o ticket.keras
        wtool rewind pruned.keras --initial init.keras --pruned initial -o ticket.keras
        wtool prune trained.keras --sparsity .8 -o - | wtool rewind - --initial init.keras -o ticket.keras
        >>> wtool.rewind("pruned.keras", initial="init.keras", output="ticket.keras")  # doctest: +SKIP

    Source: Frankle & Carbin, arXiv:1803.03635.
    """

    name: ClassVar[str] = "rewind"
    of_initial: ClassVar[bool] = True
    empties_biases: ClassVar[bool] = False
    is_random: ClassVar[bool] = False
    reads_initial: ClassVar[bool] = True
    reads_axes: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    pruned: str = PRUNED_ARE()

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Nothing has to be known before; see `starts.rewind`."""
        from wtool.transforms import starts

        return starts.rewind(self, data)


@dataclass(frozen=True, slots=True)
class Jitter(_EmptiesBiases):
    """Give the initial checkpoint the mask of a pruned model, and add Gaussian noise where weights are kept.

    With `same_sign`, values that the noise carried over zero are reflected, so that every sign stays.

    Examples:
        wtool jitter pruned.keras --initial init.keras --sd 0.01 -o ticket.keras
        >>> wtool.jitter("pruned.keras", initial="init.keras", sd=0.01, output="ticket.keras")  # doctest: +SKIP

    Raises:
        Usage: a negative deviation.
    """

    name: ClassVar[str] = "jitter"
    of_initial: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True
    reads_axes: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    sd: float = option(
        0.01, "Standard deviation of the noise.", low=0, wrong="a standard deviation of {} is not a number from 0 up"
    )
    same_sign: bool = SAME_SIGN()
    keep_biases: bool = option(True, "Keep the initial biases, instead of zero.", is_recorded=False)
    pruned: str = PRUNED_ARE()

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Nothing has to be known before; see `starts.jitter`."""
        from wtool.transforms import starts

        return starts.jitter(self, data, seed)


@dataclass(frozen=True, slots=True)
class Randomize(_EmptiesBiases):
    """Give the initial checkpoint the mask of a pruned model, with fresh values from each layer's initializer.

    Where nothing tells the initializer, they are Gaussian with the standard deviation of the initial tensor. With
    `same_sign`, each value gets the sign of the initial one.

    Examples:
        wtool randomize pruned.keras --initial init.keras -o control.keras
        >>> wtool.randomize("pruned.keras", initial="init.keras", output="control.keras")  # doctest: +SKIP
    """

    name: ClassVar[str] = "randomize"
    of_initial: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True
    reads_axes: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    same_sign: bool = SAME_SIGN()
    keep_biases: bool = KEEP_BIASES()
    pruned: str = PRUNED_ARE()

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Find the initializers; see `starts.randomize`."""
        from wtool.transforms import starts

        return starts.randomize(self, data, seed)


@dataclass(frozen=True, slots=True)
class Reshuffle(_EmptiesBiases):
    """Give the initial checkpoint the mask of a pruned model, with the kept values of each tensor permuted.

    The values are permuted among the kept positions. With `same_sign`, positive values go where positive ones were,
    negative where negative ones were, and zeros stay.

    Examples:
        wtool reshuffle pruned.keras --initial init.keras -o control.keras
        >>> wtool.reshuffle("pruned.keras", initial="init.keras", output="control.keras")  # doctest: +SKIP
    """

    name: ClassVar[str] = "reshuffle"
    of_initial: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True
    reads_axes: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    same_sign: bool = SAME_SIGN()
    keep_biases: bool = KEEP_BIASES()
    pruned: str = PRUNED_ARE()

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Each tensor is permuted as a whole; see `starts.reshuffle`."""
        from wtool.transforms import starts

        return starts.reshuffle(self, data, seed)


@dataclass(frozen=True, slots=True)
class Constant(_EmptiesBiases):
    """Give the initial checkpoint the mask of a pruned model, with plus or minus one value where weights are kept.

    Without a value, its magnitude is the standard deviation of the layer's own initializer. With `same_sign`, the sign
    is that of the initial value; otherwise, and where that is zero, each sign is as likely.

    Examples:
        wtool constant pruned.keras --initial init.keras --value 0.05 -o ticket.keras
        >>> wtool.constant("pruned.keras", initial="init.keras", value=0.05, output="ticket.keras")  # doctest: +SKIP

    Raises:
        Usage: a value that is not a positive number.
    """

    name: ClassVar[str] = "constant"
    of_initial: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = True
    reads_axes: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    value: float | None = option(
        None,
        "Its magnitude; that of the initializer by default.",
        metavar="V",
        above=0,
        wrong="{} is not a positive number",
    )
    same_sign: bool = SAME_SIGN()
    keep_biases: bool = KEEP_BIASES()
    pruned: str = PRUNED_ARE()

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Find the initializers, unless the value is given; see `starts.constant`."""
        from wtool.transforms import starts

        return starts.constant(self, data, seed)
