"""Why few grasps of a trial hold: motors, sizes, the synthesis, or what the simulation saw, in this order of evidence."""

from __future__ import annotations

import numpy as np

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.evaluate.hand_trial import ENOUGH, STRONGER, ShapeRow, TrialRow
from warpgrasp.hands.check.asset import grasp_range
from warpgrasp.hands.fingertip_force import fingertip_forces
from warpgrasp.hands.model import HandModel
from warpgrasp.objects.sizes import reach_advice

__all__ = ["why_few_hold"]

_GAIN = 0.15  # by which another share must be larger to count as an explanation
_TOLD = (  # statuses that say why a grasp may not hold
    GraspStatus.NOT_CLOSED,
    GraspStatus.NOT_TOUCHING,
    GraspStatus.PREGRASP_NOT_CLEAR,
    GraspStatus.EARLY_CONTACT,
    GraspStatus.HAND_INSIDE_OBJECT,
    GraspStatus.QP_NOT_CONVERGED,
    GraspStatus.DEGENERATE_CONTACTS,
)
_SEEN = {
    FailureReason.PENETRATION: "begin too deep in the object, at parts of the hand that the synthesis could not keep out of it",
    FailureReason.SELF_COLLISION: "begin with fingers inside each other: add spheres where the check says that links stand out",
    FailureReason.PUSHED_AWAY: "push the object away while they close, because the fingers do not balance each other",
    FailureReason.NO_CONTACT: "never touch the object",
    FailureReason.SLIP: "let it slip",
    FailureReason.BLOW_UP: "make the simulation unstable: look at the drives and masses",
    FailureReason.INVALID: "have numbers that are not finite",
}


def why_few_hold(hand: HandModel, row: TrialRow) -> str:
    """One sentence; empty where enough of the grasps hold one push of the smallest force.

    The motors are blamed when the same grasps hold with more effort, sizes when the other shapes are held, the synthesis when
    its own good grasps hold. What remains is what the simulation saw most often.
    """
    held = row.succ1[0]
    if held >= ENOUGH:
        return ""
    forces = [finger.force for finger in fingertip_forces(hand)]
    if row.stronger_succ1 >= held + _GAIN:
        return (
            f"its motors are too weak: with {STRONGER:g} times the effort of every joint {_percent(row.stronger_succ1)} of the "
            f"same grasps hold; the fingertips press with {min(forces):.2g} to {max(forces):.2g} N"
        )
    reach = grasp_range(hand)
    large = [shape for shape in row.shapes if reach_advice(np.array(shape.extent), reach)]
    others = [shape for shape in row.shapes if shape not in large]
    if large and others and _held(others) >= held + _GAIN:
        names = ", ".join(shape.shape for shape in large)
        return (
            f"{names} cannot be taken between fingertips that face each other from {1e3 * reach[0]:.0f} to "
            f"{1e3 * reach[1]:.0f} mm apart; of the grasps of the other shapes {_percent(_held(others))} hold"
        )
    usable = row.status.get(GraspStatus.OK, 0)
    lost = {status: number for status, number in row.status.items() if status in _TOLD}
    if lost and row.usable_succ1 >= held + _GAIN:
        worst = next(iter(lost))
        return (
            f"only {usable} of {row.grasps} grasps have the status OK, and of those {_percent(row.usable_succ1)} hold; "
            f"{lost[worst]} {worst.predicate}: use grasps of status OK only, or generate with more --steps"
        )
    seen = next(iter(row.lost))
    sentence = f"{row.lost[seen]} of {row.grasps} {_SEEN[seen]}"
    if lost:
        worst = next(iter(lost))
        sentence += f"; already in the synthesis {lost[worst]} {worst.predicate}"
    return sentence


def _held(shapes: list[ShapeRow]) -> float:
    return float(np.average([shape.succ1[0] for shape in shapes], weights=[shape.grasps for shape in shapes]))


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"
