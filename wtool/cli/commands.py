"""The commands of wtool in groups: names and one-line descriptions, for `wtool --help`, which imports none of them."""

from __future__ import annotations

from wtool.transforms.registry import REGISTRY

TICKETS = ("rewind", "jitter", "randomize", "reshuffle", "constant")

GROUPS: dict[str, dict[str, str]] = {
    "Look at models": {
        "inspect": "Layers, tensors, sizes, sparsity, optimizer and lineage of models.",
        "check": "What loading models would run, import or fetch, and whether they are whole.",
        "diff": "In what two models differ: layers, settings, weights, optimizer.",
        "history": "How models were made: operations, options and inputs, by the lineage in the files.",
        "replay": "A model made again from its lineage: is every byte the same?",
        "plot": "Weight histograms and masks of models, or the curves of experiments and logs.",
        "index": "A table with a row for each model of a zoo, or each tensor, for questions in SQL.",
        "report": "A page to look at in a browser: models, their tensors and lineage, curves, a zoo.",
    },
    "Average and merge": {
        "average": "One model out of several checkpoints.",
        "ema": "Moving averages of the weights: those that the optimizer keeps, or any length out of snapshots.",
        "merge": "Several models into one: task arithmetic, TIES, spherical interpolation and more.",
        "soup": "Average fine-tuned models, chosen by their scores on held-out data.",
        "align": "Put channels in the order of another model's, so that an average makes sense.",
    },
    "Prune, shrink and grow": {
        **{name: entry.line for name, entry in REGISTRY.items() if name not in TICKETS},
        "shrink": "Take units, filters and attention heads out of layers: smaller and faster models.",
    },
    "Winning tickets": {
        **{name: REGISTRY[name].line for name in TICKETS},
        "lottery": "The lottery-ticket experiment: train, prune, re-initialise, and again.",
    },
    "Layers and files": {
        "swap": "Swap layers for Auto-Rotating or linked ones, and back.",
        "convert": "Models of Keras 2 become models of Keras 3, and each format another.",
        "pack": "The same models in fewer bytes, as files that stock Keras loads.",
        "patch": "What `wtool diff --patch` wrote, applied; or tensors of another model, constants, new names.",
    },
    "Train and measure, with Keras": {
        "resume": "Train a model for some more epochs, its pruned weights held at zero.",
        "evaluate": "Loss and metrics of models, and of their ensemble.",
        "recalibrate": "Moving statistics of batch normalisation become those of data.",
    },
    "Several operations": {
        "run": "Do the operations of a recipe to models, in as few passes as possible.",
    },
    "wtool itself": {
        "help": "The help of a command, or of wtool.",
        "completion": "A script with which a shell completes commands, options and files.",
    },
}
"""Heading in `wtool --help` -> its commands, each with its line there.

A command lives in the module of its name; one without a module is a transform, and made of its dataclass.
"""

WITHOUT_MODELS = ("help", "completion")
"""Commands that open no models."""

COMMANDS = {name: line for group in GROUPS.values() for name, line in group.items()}
"""Command -> its line in `wtool --help`."""
