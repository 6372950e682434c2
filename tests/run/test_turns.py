"""Threads that take batches by turns: what comes in order, what ends when something fails, and who waits for whom."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from functools import partial

import pytest

from wtool.run.thread_pool import Threads
from wtool.run.turns import Stage, Turns

BATCHES = 23


def alive(pool: Threads) -> int:
    return sum(thread.is_alive() for thread in pool._threads)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("in_order", [True, False])
def test_stages_take_batches_in_order_and_a_thread_does_all_of_a_batch(count: int, in_order: bool) -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    doers: dict[int, set[int]] = defaultdict(set)

    def stage(name: str, thread: int, batch: int) -> int:
        time.sleep(0.0005 * (batch * 7 % 3))
        seen[name].append(batch)
        doers[batch].add(threading.get_ident())
        return batch

    stages = [
        Stage(lambda thread, batch: stage("read", thread, batch)),
        Stage(lambda thread, batch: stage("compute", thread, batch), in_order),
        Stage(lambda thread, batch: stage("write", thread, batch)),
    ]
    with Threads(count) as pool:
        found = list(Turns(pool, count, BATCHES, stages).results())
    assert found == seen["read"] == seen["write"] == [*range(BATCHES)]
    assert sorted(seen["compute"]) == [*range(BATCHES)]
    assert seen["compute"] == [*range(BATCHES)] or not in_order
    assert {len(each) for each in doers.values()} == {1}
    assert len(set().union(*doers.values())) == count


def test_the_next_batch_is_read_while_one_is_written() -> None:
    """With a barrier between batches, neither stage could wait for the other."""
    both = threading.Barrier(2)

    def read(thread: int, batch: int) -> None:
        if batch % 2:
            both.wait(30)

    def write(thread: int, batch: int) -> int:
        if batch % 2 == 0:
            both.wait(30)
        return batch

    with Threads(2) as pool:
        assert list(Turns(pool, 2, 10, [Stage(read), Stage(write)]).results()) == [*range(10)]


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("at", [0, 1, 10, BATCHES - 1])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_a_stage_raises_comes_at_its_batch(failing: int, at: int, count: int) -> None:
    done: list[int] = []

    def stage(number: int, batch: int) -> int:
        if number == failing and batch == at:
            raise ValueError(f"stage {number}, batch {batch}")
        if number == 2:
            done.append(batch)
        return batch

    stages = [
        Stage(partial(lambda number, thread, batch: stage(number, batch), number), number != 1) for number in range(3)
    ]
    came: list[int] = []
    with Threads(count) as pool, pytest.raises(ValueError, match=f"stage {failing}, batch {at}"):
        came.extend(Turns(pool, count, BATCHES, stages).results())
    assert came == [*range(at)]
    assert at not in done
    assert max(done, default=0) < at + count  # nobody goes on much longer
    assert alive(pool) == 0


def test_a_reader_who_leaves_ends_the_work() -> None:
    done: list[int] = []
    with Threads(2) as pool:
        results = Turns(pool, 2, 10_000, [Stage(lambda thread, batch: done.append(batch))]).results()
        for _ in range(5):
            next(results)
        results.close()
    assert len(done) <= 8
    assert alive(pool) == 0


def test_an_interrupt_waits_for_no_long_computation_and_for_what_is_written() -> None:
    go_on = threading.Event()
    writing: list[int] = []

    def compute(thread: int, batch: int) -> None:
        if batch > 3:
            go_on.wait(60)

    def write(thread: int, batch: int) -> None:
        writing.append(batch)
        time.sleep(0.2)
        writing.remove(batch)

    def interrupted(pool: Threads) -> None:
        with pool:
            for number, _ in enumerate(Turns(pool, 2, 10, [Stage(compute, False), Stage(write)]).results()):
                if number == 2:
                    raise KeyboardInterrupt

    pool = Threads(2)
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted(pool)
    assert not writing
    assert time.monotonic() - begin < 30
    go_on.set()


def test_a_thread_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a container has no more processes."""
    start, started = threading.Thread.start, []

    def begin(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) > 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", begin)
    with Threads(3) as pool, pytest.raises(RuntimeError, match="can't start"):
        list(Turns(pool, 3, 10, [Stage(lambda thread, batch: time.sleep(0.01))]).results())


def test_nothing_behind_a_batch_that_failed_is_done() -> None:
    failed, late = threading.Event(), []

    def read(thread: int, batch: int) -> None:
        if batch == 5:
            failed.set()
            raise ValueError("5")
        if batch == 6:
            failed.wait(30)

    def write(thread: int, batch: int) -> None:
        late.append(batch)

    with Threads(3) as pool, pytest.raises(ValueError, match="5"):
        list(Turns(pool, 3, 40, [Stage(read, False), Stage(write)]).results())
    assert max(late) == 4
