"""The clock of stages: nested stages are counted once, clocks of other processes are added."""

from __future__ import annotations

import pytest

from warpgrasp.base.stage_clock import StageClock


def test_an_inner_stage_interrupts_the_outer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([(0.0, 0.0), (1.0, 0.5), (3.0, 1.0), (7.0, 2.0), (8.0, 2.25)])
    monkeypatch.setattr(StageClock, "_now", staticmethod(lambda: next(now)))
    clock = StageClock()
    with clock.stage("outer"), clock.stage("inner"):
        pass
    assert clock.seconds() == {"outer": {"wall": 3.0, "cpu": 0.75}, "inner": {"wall": 4.0, "cpu": 1.0}}


def test_seconds_of_another_process_are_added() -> None:
    clock = StageClock()
    clock.add("loop", wall=1.0, cpu=2.0)
    clock.add_all({"loop": {"wall": 0.5, "cpu": 0.25}, "files": {"wall": 3.0, "cpu": 1.0}})
    assert clock.seconds() == {"loop": {"wall": 1.5, "cpu": 2.25}, "files": {"wall": 3.0, "cpu": 1.0}}
