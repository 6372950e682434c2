"""Random pruning of as many weights of each tensor as another pruned model has no more: a control of the criterion."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import reduce
from glob import escape
from math import prod

import numpy as np

from wtool.checkpoint.opener import open_checkpoint
from wtool.run.derive import derive
from wtool.run.plan import Plan
from wtool.run.selection import by_role
from wtool.run.target import Goal
from wtool.run.transform import Transforming
from wtool.transforms.pruning import Prune


def prune_as_many(
    model: str, counted: str, output: str, seed: int, include: Sequence[str], exclude: Sequence[str]
) -> None:
    """Write a model of which as many weights of each tensor are zero as of another one, chosen at random.

    The same as a call of `wtool prune --criterion random --include TENSOR` for one tensor after the other.

    Args:
        model: path of the model that is pruned.
        counted: path of the other one, a pruned version of the same model.
        output: path of the result; what is there is replaced.
        seed: of the random numbers.
        include, exclude: which kernels are pruned.

    Raises:
        Refused: damaged files.
        WtoolError: a file is missing, or the output cannot be written.
    """
    with ExitStack() as stack:
        other = stack.enter_context(open_checkpoint(counted))
        chosen = by_role(other.weights, include, exclude, kernels=True, biases=False)
        base = stack.enter_context(open_checkpoint(model))
        plans = []
        for tensor in chosen:
            zeros = int(np.count_nonzero(other.read(tensor) == 0))
            pruning = Prune(sparsity=zeros / max(1, prod(tensor.shape)), criterion="random")
            plans.append(Transforming(pruning, include=(escape(tensor.path),), seed=seed).plan_of(base))
        derive(reduce(Plan.then, plans), Goal(output, force=True))
