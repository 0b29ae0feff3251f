"""Status of one grasp: device code cannot raise, so it reports an integer with a sentence."""

from __future__ import annotations

import enum

__all__ = ["GraspStatus"]


class GraspStatus(enum.IntEnum):
    """Outcome of one grasp. A grasp that is not ``OK`` is frozen and reported, never repaired."""

    OK = 0
    NONFINITE_ENERGY = 1
    QP_NOT_CONVERGED = 2
    DEGENERATE_CONTACTS = 3
    PREGRASP_NOT_CLEAR = 4
    HAND_INSIDE_OBJECT = 5
    HAND_BEHIND_WALL = 6
    NOT_TOUCHING = 7
    NOT_CLOSED = 8
    EARLY_CONTACT = 9

    @property
    def sentence(self) -> str:
        """One sentence that says what happened and what to do."""
        return _SENTENCES[self]

    @property
    def predicate(self) -> str:
        """What grasps of this status do, for sentences that count them: "5 of 7 end with the hand inside the object"."""
        return _PREDICATES[self]


_SENTENCES = {
    GraspStatus.OK: (
        "The grasp is finite and converged, its contacts touch the object and hold it in force closure at the run's friction."
    ),
    GraspStatus.NONFINITE_ENERGY: (
        "An energy or its gradient became NaN or infinite; the grasp was frozen at its last finite state. "
        "Check the object mesh and lower the step size."
    ),
    GraspStatus.QP_NOT_CONVERGED: (
        "The force-closure QP of the final grasp did not reach its tolerance; its contact forces are approximate. "
        "Raise the QP's iteration limit."
    ),
    GraspStatus.DEGENERATE_CONTACTS: (
        "Fewer than two distinct contact points with valid normals, so force closure is undefined. "
        "Raise the number of contacts or check the hand's contact patches."
    ),
    GraspStatus.PREGRASP_NOT_CLEAR: (
        "The pregrasp could not be opened clear of the object (targets.clearance); draw the hand back with "
        "--targets.pregrasp approach, or approach the grasp with a motion planner of your own."
    ),
    GraspStatus.HAND_INSIDE_OBJECT: (
        "A part of the hand reaches more than 1 cm into the object; leave the grasp out, or raise the number of steps."
    ),
    GraspStatus.HAND_BEHIND_WALL: (
        "The grasp or its pregrasp reaches more than 3 mm behind the plane of energy.wall; leave it out, or raise "
        "energy.wall.weight. Pregrasps are drawn back along the palm without regard to the wall."
    ),
    GraspStatus.NOT_TOUCHING: (
        "Fewer than two contacts, or none of a finger that must touch, come within closing.touching (1 mm) of the object; "
        "raise the number of steps or of grasps, or try another grasp type."
    ),
    GraspStatus.NOT_CLOSED: (
        "The contacts that touch the object do not hold it in force closure at the friction of energy.force_closure: a push "
        "in some direction could move it before friction helps. It may hold all the same; judge it in simulation."
    ),
    GraspStatus.EARLY_CONTACT: (
        "A link presses more than 0.75 mm into the object before nine tenths of the way from the pregrasp to the grasp and may "
        "push it away from the other links. It may hold all the same; judge it in simulation, or raise the number of steps."
    ),
}

_PREDICATES = {
    GraspStatus.OK: "are OK",
    GraspStatus.NONFINITE_ENERGY: "became NaN or infinite",
    GraspStatus.QP_NOT_CONVERGED: "are not force-closed",
    GraspStatus.DEGENERATE_CONTACTS: "close no two contacts",
    GraspStatus.PREGRASP_NOT_CLEAR: "have a pregrasp that is not clear of the object",
    GraspStatus.HAND_INSIDE_OBJECT: "end with the hand inside the object",
    GraspStatus.HAND_BEHIND_WALL: "reach behind the wall",
    GraspStatus.NOT_TOUCHING: "do not touch the object with every finger that must",
    GraspStatus.NOT_CLOSED: "touch the object but are not force-closed",
    GraspStatus.EARLY_CONTACT: "touch the object early on the way from the pregrasp",
}
