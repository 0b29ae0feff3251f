"""Which grasps an engine has to simulate; the others have their verdict already, the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from warpgrasp.eval.engines.mujoco_state import mocap_targets, scene_contacts, scene_positions
from warpgrasp.eval.protocol.trial import RESET_TIME, start_joints
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict, too_deep

if TYPE_CHECKING:
    from warpgrasp.eval.engines.mujoco_scene import Scene
    from warpgrasp.eval.protocol.squeeze_rules import HandTargets

__all__ = ["Screening", "screen"]


@dataclass(frozen=True, eq=False)
class Screening:
    """Grasps sorted into those to simulate and those that fail without."""

    index: NDArray[np.int64]
    """Grasps to simulate, shape [M]."""
    verdict: Verdict
    """Of all N grasps; final for those that are not in ``index``."""

    def complete(self, parts: Sequence[Verdict]) -> Verdict:
        """The verdict of all N grasps, with ``parts`` of those simulated, in the order of ``index``."""
        return Verdict.concatenate(parts).scatter(self.index, self.verdict) if parts else self.verdict


def screen(scene: Scene, targets: HandTargets) -> Screening:
    """Leave out grasps with numbers that are not finite, and starts deeper than the protocol allows.

    Such a start would fail anyway, but only after thousands of contacts have been solved again and again.
    """
    verdict = Verdict.invalid(len(targets), len(scene.protocol.trials))
    valid = np.flatnonzero(targets.valid())
    limit = scene.protocol.start_penetration_limit
    if limit is None or not len(valid):
        return Screening(valid, verdict)
    own = targets.select(valid)
    mocap = mocap_targets(scene.protocol, own, np.array([RESET_TIME]))[:, 0]
    start = scene_contacts(scene, scene_positions(scene, start_joints(scene.protocol, own), mocap), mocap)
    inside, entangled = too_deep(start, limit)
    verdict.penetration[valid], verdict.self_penetration[valid] = start.penetration, start.self_penetration
    verdict.reason[valid[entangled]] = int(FailureReason.SELF_COLLISION)
    verdict.reason[valid[inside]] = int(FailureReason.PENETRATION)
    return Screening(valid[~(inside | entangled)], verdict)
