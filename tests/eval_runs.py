"""Runs of ``python -m warpgrasp.evaluate`` in tests: small grasp files, the call with its output, an engine that counts."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_factory import grasps_of, offset_box
from rich.console import Console

from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.eval.report.terminal import EvaluationReport
from warpgrasp.evaluate.__main__ import main
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand

__all__ = ["CountingEngine", "Run", "change_metadata", "count_engines", "robotiq_grasps"]


class Run:
    """One call of the command line with what it printed."""

    def __init__(self, *arguments: Any, width: int = 200) -> None:
        consoles = [Console(width=width, record=True, file=io.StringIO(), highlight=False) for _ in "oe"]
        self.code = main([str(item) for item in arguments], report=EvaluationReport(*consoles))
        self.out, self.error = (console.export_text() for console in consoles)


def robotiq_grasps(
    folder: Path, *, name: str = "cube", count: int = 4, **changes: Any
) -> tuple[Path, GraspSet]:
    """A two-finger gripper around a small box: the first grasps hold, the last misses it by far."""
    hand = load_hand("robotiq_2f140")
    folder.mkdir(parents=True, exist_ok=True)
    model = offset_box(folder, (0.03, 0.02, 0.02))
    opening = np.tile(hand.dof_opening, (count, 1))
    position, _ = hand.forward_kinematics(np.zeros(3), [0.0, 0.0, 0.0, 1.0], opening[0])
    left = hand.link_names.index("left_inner_finger")
    right = hand.link_names.index("right_inner_finger")
    root = np.tile(-0.5 * (position[left] + position[right]), (count, 1))
    root[-1] += 1.0
    grasps = grasps_of(
        hand,
        model,
        root_position=root,
        root_quaternion=np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)),
        joint_position=opening,
        squeeze_joint_position=opening + 0.3,
        **changes,
    )
    path = folder / f"{name}.npz"
    grasps.save(path)
    return path, grasps


def change_metadata(file: Path, entry: str, values: dict[str, Any]) -> None:
    grasps = GraspSet.load(file)
    metadata = {**grasps.metadata, entry: {**grasps.metadata[entry], **values}}
    dataclasses.replace(grasps, metadata=metadata).save(file)


class CountingEngine:
    """Simulates nothing: grasp i holds along all trials up to ``i * step`` N, along one up to twice that."""

    def __init__(self, name: str, step: float = 4.0) -> None:
        self.name = name
        self.step = step
        self.forces: list[float] = []
        """Pushes it was asked about, in order."""

    def evaluate(self, scene: Any, targets: Any, *, progress: Callable[[int], None] | None = None) -> Verdict:
        force, trials = scene.protocol.push_force, len(scene.protocol.trials)
        self.forces.append(force)
        bound = self.step * np.arange(len(targets))
        success = np.tile((force <= bound)[:, None], (1, trials))
        success[:, 0] |= force <= 2.0 * bound
        for count in range(len(targets)):
            if progress is not None:
                progress(count + 1)
        empty = Verdict.invalid(len(targets), trials)
        held = success.all(axis=1)
        return dataclasses.replace(
            empty,
            trial_success=success,
            displacement=np.where(success, 0.01, 0.05),
            effort_ratio=np.full(len(targets), 0.5),
            reason=np.where(held, FailureReason.HOLDS, FailureReason.SLIP).astype(np.int32),
        )


def count_engines(monkeypatch: pytest.MonkeyPatch, **steps: float) -> dict[str, CountingEngine]:
    """Let engines of these names be :class:`CountingEngine` in the command line; ``auto`` is ``mujoco``.

    Metrics of geometry, which are slow, are made up as well.
    """

    def metrics(case: Any, valid: np.ndarray, *, all_metrics: bool = False) -> dict[str, np.ndarray]:
        names = [
            "penetration_depth",
            "self_penetration_depth",
            "contact_distance_consistency",
            "contact_area",
        ]
        if all_metrics:
            names += ["intersection_volume", "epsilon_quality", "volume_quality"]
        return {name: np.full(len(valid), 0.001) for name in names}

    monkeypatch.setattr("warpgrasp.eval.evaluation.grasp_metrics", metrics)
    engines = {name: CountingEngine(name, step) for name, step in ({"mujoco": 4.0} | steps).items()}
    monkeypatch.setattr(
        "warpgrasp.evaluate.__main__.load_engine",
        lambda name, *, workers, device: engines["mujoco" if name == "auto" else name],
    )
    return engines
