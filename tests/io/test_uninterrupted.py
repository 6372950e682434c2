"""Signals wait until a few steps are done; whatever comes between them, nothing is left of a claim."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from wtool.io import claims
from wtool.io.places import Target, open_place
from wtool.io.uninterrupted import uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_and_is_handled_then(number: signal.Signals) -> None:
    came: list[int] = []
    before = signal.signal(number, lambda number, frame: came.append(number))
    try:
        with uninterrupted():
            os.kill(os.getpid(), number)
            inside = list(came)
        assert (inside, came) == ([], [number])
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("call", ["open", "unlink", "close", "fstat", "stat"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_interrupt_at_any_step_leaves_no_claim(
    call: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGINT comes just after a call of the system, where Python runs its handler."""
    place = open_place(Target(str(tmp_path / "a.keras")))
    real, calls = getattr(os, call), 0

    def interrupted(*words: object, **more: object) -> object:
        nonlocal calls
        result = real(*words, **more)
        calls += 1
        if calls == count + 1:
            os.kill(os.getpid(), signal.SIGINT)
        return result

    monkeypatch.setattr(claims.os, call, interrupted)
    seen = False
    try:
        with claims.claimed(place):
            seen = True
    except KeyboardInterrupt:
        assert calls > count
    else:
        assert calls <= count
        assert seen
    monkeypatch.undo()
    place.folder.close()
    assert os.listdir(tmp_path) == []
