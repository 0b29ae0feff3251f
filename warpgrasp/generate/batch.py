"""One batch of objects: all grasps of each, or its valid ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from warpgrasp.base.memory import is_memory_error, memory_sentence
from warpgrasp.base.stage_clock import StageClock
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

if TYPE_CHECKING:
    from warpgrasp.generate.terminal import BatchReport
    from warpgrasp.generate.valid_grasps import Judge
    from warpgrasp.grasps.grasp_set import GraspSet
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["BatchMaker", "reason_of"]


class _Listener(Protocol):
    """What a batch tells; ``Report`` of the terminal, or a pipe to it."""

    def say(self, text: str) -> None:
        """One line."""
        ...

    def batch(self, title: str, step_count: int) -> AbstractContextManager[BatchReport]:
        """Where the progress of one synthesis goes."""
        ...


@dataclass(frozen=True)
class BatchMaker:
    """Makes the grasps of batches, in this process."""

    hand: HandModel
    config: SynthesisConfig
    judge: Judge | None
    """``None`` keeps all grasps."""
    report: _Listener
    clock: StageClock

    def make(self, models: list[ObjectModel], title: str, stop: Callable[[], bool]) -> list[GraspSet]:
        """All grasps of a batch, or its valid ones; an object without any gets an empty set that says why.

        Args:
            models: The objects.
            title: What the progress is called.
            stop: Asked after every step whether to end with the best grasps so far.
        """

        def run(title: str, models: list[ObjectModel], config: SynthesisConfig) -> list[GraspSet]:
            with self.report.batch(title, config.step_count) as batch:
                return synthesize(self.hand, models, config, progress=batch.step, clock=self.clock, stop=stop)

        if self.judge is None:
            return run(title, models, self.config)
        sets = self.judge.valid_grasps(
            lambda number, lacking, config: run(
                f"{title}, round {number + 1}: {len(lacking)} of {len(models)} lack grasps", lacking, config
            ),
            self.hand,
            models,
            self.config,
            clock=self.clock,
        )
        for grasps in sets:
            self.report.say(grasps.metadata["valid_only"]["sentence"])
        return sets


def reason_of(error: Exception) -> str:
    """Why a batch failed, as a sentence."""
    if is_memory_error(error):
        return memory_sentence(error, "pass fewer --grasps or --samples, or give the process more")
    return str(error) or type(error).__name__
