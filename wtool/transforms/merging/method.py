"""What a merging method gives: functions that merge block by block.

A method is a function from `change.Data`, whose blocks are those that `Combine` describes, and `settings.Settings` to
`Prepared`. `registry.Method` tells what is known of it beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from wtool.transforms.change import Blocks
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

Combine = Callable[[Blocks, int], "NDArray[np.float64]"]
"""From flat blocks of the same positions to the merged values, shape (n,), float64, not rounded yet.

The block of the base is the first, if there is a base; those of the models follow in their order. The second argument
is the position of the blocks' first values in the tensor. A function may run in any thread, and any number of times.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A method that has seen all it must.

    Attributes:
        combines: path of each tensor -> what merges its blocks.
        whole: paths of tensors that are merged in one block, since no value can be told without the others.
        notes: what is worth knowing, one line each.
    """

    combines: Mapping[str, Combine]
    whole: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
