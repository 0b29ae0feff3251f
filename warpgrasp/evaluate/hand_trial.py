"""A short synthesis and evaluation of a hand on five shapes, with the defaults of the commands a user would run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import trimesh

from warpgrasp.base.atomic_file import scratch_folder
from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.hands.model import HandModel
from warpgrasp.objects import ObjectModel, example_object_names, example_object_path, load_object

if TYPE_CHECKING:
    from warpgrasp.eval.protocol.verdict import Verdict
    from warpgrasp.grasps.grasp_set import GraspSet

__all__ = ["ENOUGH", "STRONGER", "ShapeRow", "TrialRow", "run_trial", "trial_shapes"]

ENOUGH = 0.6
"""Share of grasps that hold one push of the smallest force, from which on nothing needs to be explained."""
STRONGER = 4.0
"""Factor on all efforts with which grasps are tried again, to see whether the motors are too weak."""
_BALL_RADIUS, _BOX_EDGE = 0.03, 0.05  # m


@dataclass(frozen=True)
class ShapeRow:
    """What became of the grasps of one shape."""

    shape: str
    extent: tuple[float, ...]
    """Size of its bounding box [m]."""
    grasps: int
    succ1: tuple[float, ...]
    """Share of grasps that hold at least one push of the protocol, for every force."""
    succ3: tuple[float, ...]
    """Share of grasps that hold all pushes, for every force."""
    lost: dict[FailureReason, int]
    """Grasps that do not hold all pushes at the smallest force, by reason."""
    status: dict[GraspStatus, int]
    """Grasps by what the synthesis says of them."""
    usable_held: int
    """Grasps of status OK that hold at least one push at the smallest force."""
    stronger_held: int = 0
    """Grasps that would hold one push at the smallest force if all joints had :data:`STRONGER` times their effort; tried
    only where fewer than :data:`ENOUGH` of all grasps hold."""


@dataclass(frozen=True)
class TrialRow:
    """Rates of one grasp type over all shapes."""

    grasp_type: str
    forces: tuple[float, ...]
    """Pushes [N], ascending."""
    shapes: tuple[ShapeRow, ...]

    @property
    def grasps(self) -> int:
        """Grasps of all shapes."""
        return sum(row.grasps for row in self.shapes)

    @property
    def succ1(self) -> tuple[float, ...]:
        """Share of all grasps that hold at least one push, for every force."""
        return self._mean("succ1")

    @property
    def succ3(self) -> tuple[float, ...]:
        """Share of all grasps that hold all pushes, for every force."""
        return self._mean("succ3")

    @property
    def lost(self) -> dict[FailureReason, int]:
        """Grasps that do not hold all pushes at the smallest force, by reason, the commonest first."""
        counts = {reason: sum(row.lost.get(reason, 0) for row in self.shapes) for reason in FailureReason}
        return {reason: n for reason, n in sorted(counts.items(), key=lambda item: -item[1]) if n}

    @property
    def status(self) -> dict[GraspStatus, int]:
        """Grasps of all shapes by what the synthesis says of them, the commonest first."""
        counts = {status: sum(row.status.get(status, 0) for row in self.shapes) for status in GraspStatus}
        return {status: n for status, n in sorted(counts.items(), key=lambda item: -item[1]) if n}

    @property
    def usable_succ1(self) -> float:
        """Share of the grasps of status OK that hold one push at the smallest force; 0 where there are none."""
        return sum(row.usable_held for row in self.shapes) / max(self.status.get(GraspStatus.OK, 0), 1)

    @property
    def stronger_succ1(self) -> float:
        """Share of all grasps that would hold one push with :data:`STRONGER` times the effort."""
        return sum(row.stronger_held for row in self.shapes) / max(self.grasps, 1)

    def _mean(self, name: str) -> tuple[float, ...]:
        weights = [row.grasps for row in self.shapes]
        return tuple(
            float(np.average([getattr(row, name)[k] for row in self.shapes], weights=weights))
            for k in range(len(self.forces))
        )


def trial_shapes() -> list[ObjectModel]:
    """The three shipped objects, a ball of 60 mm and a cube of 50 mm."""
    models = [load_object(example_object_path(name)) for name in example_object_names()]
    ball = trimesh.creation.icosphere(subdivisions=3, radius=_BALL_RADIUS)
    cube = trimesh.creation.box((_BOX_EDGE,) * 3)
    with scratch_folder() as folder:
        for name, mesh in (("ball", ball), ("cube", cube)):
            mesh.export(folder / f"{name}.obj")
            models.append(load_object(folder / f"{name}.obj"))
    return models


def run_trial(
    hand: HandModel,
    grasp_type: str,
    shapes: Sequence[ObjectModel],
    *,
    grasps: int,
    steps: int,
    forces: Sequence[float],
    candidates: int = 2,
    progress: Callable[[str], None] = lambda _: None,
) -> TrialRow:
    """Synthesise grasps of one type on every shape and shake them in MuJoCo under the protocol ``graspqp``.

    Args:
        hand: The hand.
        grasp_type: One of its grasp types.
        shapes: Objects, such as :func:`trial_shapes`.
        grasps: Grasps of each shape.
        steps: Optimisation steps.
        forces: Pushes [N].
        candidates: Grasps that are synthesised for each one kept, as ``python -m warpgrasp.generate`` has them.
        progress: Called with what is done next.

    Raises:
        ValueError: The hand cannot be used, or the engine refuses it.
        ImportError: MuJoCo is not installed.
    """
    from warpgrasp.eval.config import EvaluationConfig
    from warpgrasp.eval.engines.registry import load_engine
    from warpgrasp.eval.evaluation import evaluate_case
    from warpgrasp.eval.protocol.protocols import find_protocol
    from warpgrasp.grasps.case import GraspCase
    from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

    forces = tuple(sorted(set(forces)))
    engine = load_engine("mujoco", workers=0, device="auto")
    protocol = EvaluationConfig(protocol=find_protocol("graspqp"), forces=forces)
    config = SynthesisConfig(
        grasp_count=grasps, step_count=steps, grasp_type=grasp_type, candidates=candidates
    )
    progress(f"{grasp_type} grasps: {steps} steps")
    found = synthesize(hand, shapes, config)
    rows = []
    for shape, own in zip(shapes, found, strict=True):
        progress(f"{grasp_type} grasps: shaking the {shape.name}")
        result = evaluate_case(GraspCase(Path(shape.name), "", own, hand, shape), protocol, engine)
        rows.append(_shape_row(shape, own, [result.verdict(k) for k in range(len(forces))]))
    row = TrialRow(grasp_type, forces, tuple(rows))
    if row.succ1[0] >= ENOUGH:
        return row
    strong = dataclasses.replace(hand, dof_effort=STRONGER * hand.dof_effort)
    full = dataclasses.replace(protocol, forces=forces[:1], squeeze_effort=1.0)
    for k, (shape, own) in enumerate(zip(shapes, found, strict=True)):
        progress(f"{grasp_type} grasps: shaking the {shape.name} with stronger motors")
        verdict = evaluate_case(GraspCase(Path(shape.name), "", own, strong, shape), full, engine).verdict(0)
        rows[k] = dataclasses.replace(rows[k], stronger_held=int(verdict.success_any.sum()))
    return TrialRow(grasp_type, forces, tuple(rows))


def _shape_row(shape: ObjectModel, grasps: GraspSet, verdicts: list[Verdict]) -> ShapeRow:
    least = verdicts[0]
    reasons = {reason: int((least.reason == int(reason)).sum()) for reason in FailureReason}
    statuses = {status: int((grasps.status == int(status)).sum()) for status in GraspStatus}
    return ShapeRow(
        shape=shape.name,
        extent=tuple(float(value) for value in shape.extent),
        grasps=len(grasps),
        succ1=tuple(float(verdict.success_any.mean()) for verdict in verdicts),
        succ3=tuple(float(verdict.success_all.mean()) for verdict in verdicts),
        lost={reason: n for reason, n in reasons.items() if n and reason != FailureReason.HOLDS},
        status={status: n for status, n in statuses.items() if n},
        usable_held=int((least.success_any & (grasps.status == int(GraspStatus.OK))).sum()),
    )
