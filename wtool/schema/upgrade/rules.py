"""THE table of rules: what an upgrade does to a configuration, or refuses, each rule under its name.

Whoever notes a change or a refusal names one of these rules; the reference page has the table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the upgrade.

    Attributes:
        name: of the rule, in results and in the docs.
        text: what the rule does, or why it refuses: one sentence.
        classes: of Keras 2 that the rule is for; empty where it is for all of them, or for the model itself.
        drops: settings that Keras 3 does not have and that change nothing.
        renames: setting of Keras 2 -> its name in Keras 3.
        refuses: whether a layer that the rule meets cannot be kept.
    """

    name: str
    text: str
    classes: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    refuses: bool = False


_RULES = (
    Rule("form", "Entries are written as Keras 3 writes them, with the module of their class."),
    Rule("input shape", "The input shape of a Sequential model's first layer becomes an InputLayer before that layer."),
    Rule("no input shape", "A Sequential model that never stored an input shape has to be told one.", refuses=True),
    Rule("name", "A slash in the name of a layer becomes `_`, with a number where another layer has that name."),
    Rule("unknown entry", "What is no layer's entry cannot become a layer.", refuses=True),
)

RULES: dict[str, Rule] = {rule.name: rule for rule in _RULES}
"""Name of a rule -> the rule."""
