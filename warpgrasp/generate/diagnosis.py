"""Why no grasp of an object came out usable: where they were lost, and what to do first."""

from __future__ import annotations

from collections.abc import Mapping

from warpgrasp.base.status import GraspStatus
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.methods import find_method
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["diagnosis"]

_REMEDY = {
    GraspStatus.NONFINITE_ENERGY: "repair the mesh or lower the step size",
    GraspStatus.DEGENERATE_CONTACTS: "pass more --contacts, or --target-size",
    GraspStatus.QP_NOT_CONVERGED: "pass more --steps or --contacts",
    GraspStatus.HAND_INSIDE_OBJECT: "pass more --steps, or --target-size",
    GraspStatus.HAND_BEHIND_WALL: "pass more --steps, or a lower wall",
    GraspStatus.NOT_TOUCHING: "pass more --steps, or --target-size",
    GraspStatus.NOT_CLOSED: "pass more --steps or --contacts",
    GraspStatus.EARLY_CONTACT: "pass more --steps",
    GraspStatus.PREGRASP_NOT_CLEAR: "pass more --steps, or --target-size",
}
_FEW = 1.0 / 3.0  # of the method's own steps
_UNTOUCHED = (GraspStatus.NOT_TOUCHING.name, GraspStatus.NOT_CLOSED.name)


def diagnosis(name: str, status_count: Mapping[str, int], config: SynthesisConfig, *, size: str = "") -> str:
    """One sentence for an object without a usable grasp; empty where there is one.

    Args:
        name: Name of the object.
        status_count: Grasps per name of :class:`~warpgrasp.base.status.GraspStatus`.
        config: Configuration of the synthesis.
        size: What is to be said on its size (:func:`warpgrasp.objects.sizes.reach_advice`), which comes first.
    """
    total = sum(status_count.values())
    if total == 0 or status_count.get(GraspStatus.OK.name, 0):
        return ""
    lost = sorted(status_count.items(), key=lambda entry: -entry[1])
    parts = [f"{count} of {total} {GraspStatus[status].predicate}" for status, count in lost]
    remedy = _REMEDY[GraspStatus[lost[0][0]]]
    usual = find_method(config.method).config.step_count
    if config.step_count < _FEW * usual:
        remedy = f"{config.step_count} steps are few, pass --steps {usual}"
    elif not config.closing.steps and lost[0][0] in _UNTOUCHED:
        steps = ClosingConfig().steps
        remedy = f"{config.method} does without our last stage: pass --closing.steps {steps} to bring contacts onto the object"
    head = f"{name}: no grasp is usable: {', '.join(parts)}"
    return f"{head}. Its size: it {size}" if size else f"{head}; {remedy}."
