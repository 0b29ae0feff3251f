"""Names of the fingers, axes of the palm and opening pose of a hand, from how its fingers bend and where they meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.convert.propose.facing import LinkFacing, joint_axis_in_link
from warpgrasp.hands.convert.propose.motion import Chain, FingerMotion, batch_poses
from warpgrasp.hands.model import HandModel, JointType

__all__ = ["HandLayout", "opening_pose", "study_layout"]

FloatArray = NDArray[np.float64]

_FINGER_BEND = 0.1  # of a finger's flexion range in the opening pose; a grasp starts bent, a pregrasp wide
_GRIPPER_BENDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
_OPPOSED = -0.5  # cosine between the inner sides of the lone finger and the others that face each other
_THUMB_GAP = 0.09  # m between thumb and fingertips in the opening pose, give or take 3 cm
_OTHERS = ("index", "middle", "ring", "little")


@dataclass(frozen=True, eq=False)
class HandLayout:
    """Fingers by name (in the order of the chains) and the palm's axes in the root frame at the straight pose."""

    names: tuple[str, ...]
    names_from_file: bool
    gripper: bool
    """Fingers around the palm that close on each other, rather than fingers side by side and a thumb."""
    finger_direction: FloatArray
    thumb_direction: FloatArray
    palm_normal: FloatArray
    left_handed: bool
    confidence: float


def study_layout(
    hand: HandModel, chains: list[Chain], motion: FingerMotion, facings: list[list[LinkFacing]]
) -> HandLayout:
    """Name the fingers and find the palm's axes."""
    rotation, position = (array[0] for array in batch_poses(hand, motion.straight[None]))
    base = np.array([position[chain.links[0]] for chain in chains])
    tip = np.array([position[c.tip_link] + rotation[c.tip_link] @ c.tip for c in chains])
    direction = _unit_rows(tip - base)
    inner = np.array([_chain_inner(rotation, row) for row in facings])
    names, from_file, thumb = _names(chains, base, direction, inner)
    if len(chains) <= 2:
        normal = _unit((tip.mean(axis=0) - base.mean(axis=0)) if len(chains) == 2 else direction[0])
        across = inner[0] - inner[-1] if len(chains) == 2 else inner[0]
        finger = _unit(_reject(across, normal))
        return HandLayout(
            names, from_file, True, finger, np.cross(finger, normal), normal, False, 0.9 if from_file else 0.7
        )
    others = [i for i in range(len(chains)) if i != thumb]
    opposed = float(inner[thumb] @ _unit(inner[others].mean(axis=0)))
    parallel = float(direction[thumb] @ _unit(direction[others].mean(axis=0)))
    flower = parallel < -0.3  # stretched fingers point away from each other, as no thumb does
    said = sum(chain.hint in _OTHERS for chain in chains) > 1 and "thumb" in [c.hint for c in chains]
    if not said and (flower or (opposed < -0.3 and parallel > 0.5)):
        facing = inner[thumb] + _unit(inner[others].mean(axis=0))
        both = direction[thumb] + _unit(direction[others].mean(axis=0))
        normal = _unit(facing if flower else both)  # the sides count alike, however many fingers each has
        thumb_direction = _unit(_reject(base[thumb] - base[others].mean(axis=0), normal))
        return HandLayout(
            names,
            from_file,
            True,
            np.cross(normal, thumb_direction),
            thumb_direction,
            normal,
            False,
            0.8 if flower else min(1.0, 0.5 * (parallel - opposed)),
        )
    finger = _unit(direction[others].mean(axis=0))
    normal = _unit(_reject(inner[others].mean(axis=0), finger))
    thumb_direction = np.cross(finger, normal)
    side = float((base[thumb] + tip[thumb] - 2.0 * base[others].mean(axis=0)) @ thumb_direction)
    spread = float(np.mean(inner[others] @ normal))
    if not from_file:
        names = _side_by_side(chains, thumb, np.sign(side) * (base @ thumb_direction))
    return HandLayout(names, from_file, False, finger, thumb_direction, normal, side < 0.0, max(0.0, spread))


def _chain_inner(rotation: FloatArray, row: list[LinkFacing]) -> FloatArray:
    """Mean inner direction of a finger in the root frame, long and certain links counting most."""
    total = np.sum(
        [facing.confidence * facing.length * (rotation[facing.link] @ facing.inner) for facing in row], axis=0
    )
    return _unit(total)


def _names(
    chains: list[Chain], base: FloatArray, direction: FloatArray, inner: FloatArray
) -> tuple[tuple[str, ...], bool, int]:
    """Finger names, whether the file's own names gave them all, and the chain that is the thumb (-1: none).

    Names that stand for one finger only are kept; the others are given out in the order from the thumb.
    """
    hints = [chain.hint for chain in chains]
    count = len(chains)
    named = all(hints) and len(set(hints)) == count
    if count <= 2:
        return (tuple(hints) if named else ("left", "right")[:count]), named, -1
    known = _known(chains)
    if "thumb" in known:
        thumb = known.index("thumb")
        if all(known):
            return tuple(known), True, thumb
    else:  # the finger that lies and bends least like the others
        likeness = direction @ direction.T + 2.0 * (inner @ inner.T)
        free = [i for i in range(count) if not known[i]] or list(range(count))
        thumb = min(free, key=lambda i: float(likeness[i].sum()))
    others = [i for i in range(count) if i != thumb]
    order = sorted(others, key=lambda i: float(np.linalg.norm(base[i] - base[thumb])))
    return _numbered(known, thumb, order), False, thumb


def _known(chains: list[Chain]) -> list[str]:
    """Names that the file gives to one finger only; one name alone (a middle finger between others) says nothing."""
    hints = [chain.hint for chain in chains]
    known = [hint if hints.count(hint) == 1 and hint in ("thumb", *_OTHERS) else "" for hint in hints]
    return known if sum(map(bool, known)) > 1 or "thumb" in known else [""] * len(chains)


def _side_by_side(chains: list[Chain], thumb: int, sideways: FloatArray) -> tuple[str, ...]:
    """Fingers side by side are named from the thumb's side outward, but for those that the file names."""
    known = [name if name != "thumb" else "" for name in _known(chains)]
    order = [int(i) for i in np.argsort(-sideways, kind="stable") if i != thumb]
    return _numbered(known, thumb, order)


def _numbered(known: list[str], thumb: int, order: list[int]) -> tuple[str, ...]:
    names = list(known)
    names[thumb] = "thumb"
    left = [name for name in _OTHERS if name not in known]
    left += [f"finger_{number}" for number in range(len(_OTHERS) + 2, len(names) + len(_OTHERS) + 2)]
    for i in order:
        if not names[i]:
            names[i] = left.pop(0)
    return tuple(names)


def opening_pose(
    hand: HandModel,
    chains: list[Chain],
    motion: FingerMotion,
    layout: HandLayout,
    facings: list[list[LinkFacing]],
) -> tuple[FloatArray, float]:
    """Joint values at which a grasp starts, and the confidence in them.

    Fingers are slightly bent; a thumb is turned so that its pad looks at the fingertips from some centimetres away.
    """
    if not layout.gripper:
        opening = _bent(hand, chains, motion, layout, facings, _FINGER_BEND)
        if "thumb" in layout.names:
            return _turn_thumb(hand, chains, motion, layout, facings, opening)
        return opening, 0.5
    if len(chains) <= 2:
        return _bent(hand, chains, motion, layout, facings, 0.0), 0.8
    for bend in _GRIPPER_BENDS:
        opening = _bent(hand, chains, motion, layout, facings, bend)
        rotation, _ = (array[0] for array in batch_poses(hand, opening[None]))
        inner = np.array([_chain_inner(rotation, row) for row in facings])
        thumb = layout.names.index("thumb")
        others = np.delete(inner, thumb, axis=0)
        if float(inner[thumb] @ _unit(others.mean(axis=0))) < _OPPOSED:
            return opening, 0.8
    return _bent(hand, chains, motion, layout, facings, _GRIPPER_BENDS[0]), 0.3


def _bent(
    hand: HandModel,
    chains: list[Chain],
    motion: FingerMotion,
    layout: HandLayout,
    facings: list[list[LinkFacing]],
    bend: float,
) -> FloatArray:
    """The straight pose with every flexion joint at a share of its range; prismatic joints are opened."""
    opening = motion.straight.copy()
    rotation, _ = (array[0] for array in batch_poses(hand, motion.straight[None]))
    for chain, row, name in zip(chains, facings, layout.names, strict=True):
        if name == "thumb" and not layout.gripper:
            continue
        for link in chain.links:
            dof = int(hand.joint_dof[link])
            if dof < 0 or hand.link_joint_names[link] != hand.joint_names[dof]:
                continue
            if hand.joint_type[link] == JointType.PRISMATIC:
                ends = hand.dof_lower[dof], hand.dof_upper[dof]
                opening[dof] = ends[
                    int(abs(ends[1] - motion.closed[dof]) > abs(ends[0] - motion.closed[dof]))
                ]
                continue
            sign = _flexion_sign(hand, link, chain, row, rotation)
            if sign:
                end = hand.dof_upper[dof] if sign > 0.0 else hand.dof_lower[dof]
                opening[dof] += bend * (end - motion.straight[dof])
    return opening


def _flexion_sign(
    hand: HandModel, link: int, chain: Chain, row: list[LinkFacing], rotation: FloatArray
) -> float:
    """Which way a joint bends its finger inward at the straight pose; 0 for one that spreads or turns it."""
    axis = rotation[link] @ joint_axis_in_link(hand, link)
    total = 0.0
    for facing in row[chain.links.index(link) :]:
        own = rotation[facing.link]
        total += facing.length * float(np.cross(axis, own @ facing.along) @ (own @ facing.inner))
    length = sum(facing.length for facing in row[chain.links.index(link) :])
    return float(np.sign(total)) if abs(total) > 0.5 * length else 0.0


def _turn_thumb(
    hand: HandModel,
    chains: list[Chain],
    motion: FingerMotion,
    layout: HandLayout,
    facings: list[list[LinkFacing]],
    opening: FloatArray,
) -> tuple[FloatArray, float]:
    thumb = layout.names.index("thumb")
    dofs = sorted({int(hand.joint_dof[k]) for k in chains[thumb].links if hand.joint_dof[k] >= 0})
    random = np.random.default_rng(1)
    low, high = hand.dof_lower[dofs], hand.dof_upper[dofs]
    pool = np.tile(opening, (3000, 1))
    pool[:, dofs] = low + (high - low) * random.uniform(0.05, 0.95, size=(3000, len(dofs)))
    score = _thumb_score(hand, chains, layout, facings, pool, motion, dofs)
    for width in (0.1, 0.05, 0.02):
        best = pool[np.argsort(-score)[:10]]
        pool = np.repeat(best, 60, axis=0)
        pool[:, dofs] += width * (high - low) * random.normal(size=(600, len(dofs)))
        pool[:, dofs] = np.clip(pool[:, dofs], low, high)
        pool = np.concatenate([best, pool])
        score = _thumb_score(hand, chains, layout, facings, pool, motion, dofs)
    index = int(np.argmax(score))
    return pool[index], float(np.clip(score[index], 0.0, 1.0))


def _thumb_score(
    hand: HandModel,
    chains: list[Chain],
    layout: HandLayout,
    facings: list[list[LinkFacing]],
    pool: FloatArray,
    motion: FingerMotion,
    dofs: list[int],
) -> FloatArray:
    """Pad of the thumb looks at the fingertips and they at it; the gap is near the wanted one; joints not at their ends."""
    rotation, position = batch_poses(hand, pool)

    def tip(chain: Chain) -> FloatArray:
        turned = np.einsum("nij,j->ni", rotation[:, chain.tip_link], chain.tip)
        return np.asarray(position[:, chain.tip_link] + turned)

    def pad(row: list[LinkFacing]) -> FloatArray:
        return np.einsum("nij,j->ni", rotation[:, row[-1].link], row[-1].inner)

    thumb = layout.names.index("thumb")
    partners = [i for i, n in enumerate(layout.names) if n in ("index", "middle")] or [
        i for i in range(len(chains)) if i != thumb
    ]
    goal = np.mean([tip(chains[i]) for i in partners], axis=0)
    away = goal - tip(chains[thumb])
    gap = np.linalg.norm(away, axis=1)
    look = away / np.maximum(gap, 1e-6)[:, None]
    facing = np.einsum("ni,ni->n", pad(facings[thumb]), look)
    answer = np.mean([np.einsum("ni,ni->n", pad(facings[i]), -look) for i in partners], axis=0)
    span = hand.dof_upper[dofs] - hand.dof_lower[dofs]
    edge = np.minimum(pool[:, dofs] - hand.dof_lower[dofs], hand.dof_upper[dofs] - pool[:, dofs]) / span
    crowded = np.maximum(0.0, 0.05 - edge).mean(axis=1) * 4.0
    bent = (np.abs(pool[:, dofs] - motion.straight[dofs]) / span).mean(axis=1)
    return np.asarray(
        0.6 * facing
        + 0.4 * answer
        - np.maximum(0.0, np.abs(gap - _THUMB_GAP) - 0.03) / 0.06
        - crowded
        - 0.2 * bent
    )


def _unit(vector: FloatArray) -> FloatArray:
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length) if length > 1e-9 else np.array([0.0, 0.0, 1.0])


def _unit_rows(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def _reject(vector: FloatArray, direction: FloatArray) -> FloatArray:
    return np.asarray(vector - (vector @ direction) * direction)
