"""How hard a hand can press: the force each fingertip can give, from the joints' effort limits and the kinematics.

A file's effort limits are often placeholders. The force at the fingertip is the number that one can judge, by what makers
publish of their hands (:mod:`warpgrasp.hands.published_forces`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, rotate
from warpgrasp.hands.model import ContactPatch, HandModel, JointType
from warpgrasp.hands.published_forces import largest_force

__all__ = [
    "FingertipForce",
    "fingertip_forces",
    "strength_warnings",
]

FloatArray = NDArray[np.float64]

_SHORTEST_LEVER = 2e-3  # m (or, of a slide, share of its motion); shorter levers limit nothing
_GRAVITY = 9.81  # m/s^2
_WEAKEST = 0.3  # N at a fingertip that presses anything at all


@dataclass(frozen=True)
class FingertipForce:
    """Force a fingertip can press with when all fingers press alike."""

    finger: str
    force: float
    """N along the contact patch' normal, at the opening pose."""
    joint: str
    """The joint whose effort limit is reached first; empty for a jaw that does not move."""


def fingertip_forces(hand: HandModel) -> list[FingertipForce]:
    """Force of every finger that carries a contact patch (the palm does not press).

    The tip patch presses along its normal with the joints at the opening pose; the force is the largest at which no joint
    exceeds its effort limit: ``F = min_j tau_j / sum_f |J_jf n_f|``. A joint that moves several fingers (a gripper's one
    motor) shares its effort among them. Joints that move all fingers alike, such as a wrist, are left out.
    """
    tips = _tips(hand)
    levers = {finger: _levers(hand, patch, tips) for finger, patch in tips.items()}
    total = (
        np.sum([np.abs(lever) for lever in levers.values()], axis=0) if levers else np.zeros(hand.dof_count)
    )
    found = []
    for finger, lever in levers.items():
        own = np.flatnonzero(np.abs(lever) > _SHORTEST_LEVER)
        if len(own):
            limits = hand.dof_effort[own] / total[own]
            first = int(np.argmin(limits))
            found.append(FingertipForce(finger, float(limits[first]), hand.joint_names[own[first]]))
        else:
            found.append(FingertipForce(finger, np.inf, ""))
    # a fixed jaw gives back what the moving one presses with
    most = max((row.force for row in found if row.joint), default=0.0)
    return [row if row.joint else FingertipForce(row.finger, most, "") for row in found]


def strength_warnings(
    hand: HandModel, *, object_mass: float = 0.0, push: float = 0.0, friction: float = 0.6
) -> list[str]:
    """Sentences about a hand that is too weak for an object and a push, or stronger than any hand is.

    Args:
        hand: The hand.
        object_mass: Mass of the object [kg].
        push: Force that the grasp shall resist besides the weight [N].
        friction: Coefficient of friction between hand and object.
    """
    forces = fingertip_forces(hand)
    if not forces:
        return []
    warnings = []
    limit = largest_force(float(hand.link_mass.sum()), len(forces))
    strong = max(forces, key=lambda row: row.force)
    if strong.force > limit:
        warnings.append(
            f"hand '{hand.name}' would press with {strong.force:.3g} N at its {strong.finger}, which no hand of "
            f"{hand.link_mass.sum():.2g} kg does (at most about {limit:.0f} N): joint '{strong.joint}' seems to have a "
            "placeholder as effort limit, and success then says nothing; set its true effort"
        )
    weak = min(forces, key=lambda row: row.force)
    if weak.force < _WEAKEST:
        warnings.append(
            f"hand '{hand.name}' presses with only {weak.force:.2g} N at its {weak.finger}, limited by joint "
            f"'{weak.joint}'; set its true effort"
        )
    needed = push + _GRAVITY * object_mass
    capacity = friction * sum(row.force for row in forces)
    if capacity < needed:
        warnings.append(
            f"hand '{hand.name}' is too weak: its fingertips can hold {capacity:.2g} N by friction ({friction:g} times "
            f"{capacity / friction:.2g} N), less than the {needed:.2g} N of weight and push; push less, or set the true efforts"
        )
    return warnings


def _tips(hand: HandModel) -> dict[str, ContactPatch]:
    """The patch of each finger that presses: its tip, or the last one where it has no tip."""
    found: dict[str, ContactPatch] = {}
    for patch in hand.patches:
        if patch.region != "palm" and (patch.region == "tip" or patch.finger not in found):
            if patch.finger in found and found[patch.finger].region == "tip":
                continue
            found[patch.finger] = patch
    return found


def _levers(hand: HandModel, patch: ContactPatch, tips: dict[str, ContactPatch]) -> FloatArray:
    """How far the patch moves along its normal per unit of each degree of freedom, shape [J], m per rad (or m per m)."""
    position, quaternion = hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, hand.dof_opening)
    corner = patch.vertices[patch.faces]
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal = area.sum(axis=0)
    normal = rotate(quaternion[patch.link], normal / max(float(np.linalg.norm(normal)), 1e-12))
    weight = np.linalg.norm(area, axis=1)
    point = position[patch.link] + rotate(
        quaternion[patch.link], np.average(corner.mean(axis=1), axis=0, weights=weight)
    )
    shared = (
        set.intersection(*(set(_way(hand, tip.link)) for tip in tips.values())) if len(tips) > 1 else set()
    )
    lever = np.zeros(hand.dof_count)
    for link in _way(hand, patch.link):
        dof = int(hand.joint_dof[link])
        if dof < 0 or link in shared:
            continue
        turn = quaternion[link]
        axis = rotate(turn, rotate(hand.joint_child_quaternion[link], hand.joint_axis[link]))
        origin = position[link] + rotate(turn, hand.joint_child_position[link])
        motion = axis if hand.joint_type[link] == JointType.PRISMATIC else np.cross(axis, point - origin)
        lever[dof] += float(hand.joint_multiplier[link] * (motion @ normal))
    return lever


def _way(hand: HandModel, link: int) -> list[int]:
    """A link and those above it, without the root."""
    way = []
    while link > 0:
        way.append(link)
        link = int(hand.link_parent[link])
    return way
