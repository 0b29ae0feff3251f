"""Grasps of one object, round after round, with what the tests say of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.sharded.rows import VerdictColumns

__all__ = ["Made", "Tested", "selected_verdicts"]


@dataclass
class Tested:
    """What the tests say of one grasp set."""

    ok: NDArray[np.bool_]
    verdicts: dict[str, VerdictColumns]
    metrics: dict[str, NDArray[Any]]

    def good(self) -> NDArray[np.bool_]:
        """Whether each grasp counts towards a target: it holds under the first protocol, or is OK without any."""
        return next(iter(self.verdicts.values())).held() if self.verdicts else self.ok


@dataclass
class Made:
    """Grasps of one object, round after round."""

    sets: list[GraspSet] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    tests: list[Tested] = field(default_factory=list)

    def add(self, grasps: GraspSet, seed: int, tested: Tested) -> None:
        self.sets.append(grasps)
        self.seeds.append(seed)
        self.tests.append(tested)

    def good(self) -> int:
        return sum(int(tested.good().sum()) for tested in self.tests)

    def kept(self, rule: str) -> NDArray[np.bool_]:
        choose: dict[str, Callable[[Tested], NDArray[np.bool_]]] = {
            "all": lambda tested: np.ones(len(tested.ok), bool),
            "ok": lambda tested: tested.ok,
            "held": lambda tested: tested.good() if tested.verdicts else np.zeros(len(tested.ok), bool),
        }
        return np.concatenate([choose[rule](tested) for tested in self.tests])

    def joined(self) -> tuple[GraspSet, NDArray[np.int64], Tested]:
        seeds = np.concatenate([np.full(len(s), seed) for s, seed in zip(self.sets, self.seeds, strict=True)])
        ok = np.concatenate([tested.ok for tested in self.tests])
        labels = dict.fromkeys(label for tested in self.tests for label in tested.verdicts)
        names = dict.fromkeys(name for tested in self.tests for name in tested.metrics)
        verdicts = {label: _join_verdicts(label, self.tests) for label in labels}
        metrics = {
            name: np.concatenate([t.metrics.get(name, np.full(len(t.ok), np.nan)) for t in self.tests])
            for name in names
        }
        return GraspSet.concatenate(self.sets), seeds.astype(np.int64), Tested(ok, verdicts, metrics)


def _join_verdicts(label: str, tests: Sequence[Tested]) -> VerdictColumns:
    """Outcomes of all rounds; a round without grasps to test counts as not simulated."""
    known = next(tested.verdicts[label] for tested in tests if label in tested.verdicts)
    trials = known.trial_held.shape[1]

    def empty(count: int) -> VerdictColumns:
        none = np.zeros(count, bool)
        away = np.full((count, trials), np.nan, np.float32)
        return VerdictColumns(none, np.zeros((count, trials), bool), away, np.full(count, "", dtype="<U16"))

    parts = [tested.verdicts.get(label) or empty(len(tested.ok)) for tested in tests]
    return VerdictColumns(
        *(np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(VerdictColumns))
    )


def selected_verdicts(outcome: VerdictColumns, index: NDArray[np.int64]) -> VerdictColumns:
    """Some rows of the outcomes of a protocol."""
    return VerdictColumns(*(getattr(outcome, f.name)[index] for f in dataclasses.fields(outcome)))
