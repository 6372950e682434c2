"""How a layer is quantised, as its dtype policy says."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wtool.schema.layers.entry import Settings

QUANTISED = ("int8", "int4", "int4_grouped", "float8", "gptq", "gptq_zero", "awq", "awq_zero")
"""The forms that the variables of a quantised layer can have."""


def quantisation(config: Settings) -> tuple[str | None, ...]:
    """Returns how a layer is quantised: one or more forms that its files may have, None for the plain one."""
    policy = config.get("dtype")
    if isinstance(policy, Mapping):
        if policy.get("class_name") == "DTypePolicyMap":
            return (None, *QUANTISED)
        inner = policy.get("config")
        settings = inner if isinstance(inner, Mapping) else {}
        mode = settings.get("mode") or settings.get("name")
    else:
        mode = policy
    mode = mode if isinstance(mode, str) else ""
    kind = re.split(r"[/_]", mode, maxsplit=1)[0]
    forms: dict[str, tuple[str | None, ...]] = {
        "int8": ("int8",) if "from" in mode or isinstance(policy, Mapping) else (None,),
        "int4": ("int4_grouped", "int4"),
        "ternary": ("ternary",),
        "float8": ("float8",),
        "gptq": ("gptq_zero", "gptq"),
        "awq": ("awq_zero", "awq"),
    }
    return forms.get(kind, (None,))
