"""Propose the whole grasp annotation of a hand that has none, with a confidence and a reason for every guess."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.authoring.sphere_cover import cover_with_spheres, enough_spheres
from warpgrasp.hands.convert.annotation_file import (
    GraspTypeAnnotation,
    HandAnnotation,
    JointAnnotation,
    PatchAnnotation,
    WristAnnotation,
)
from warpgrasp.hands.convert.propose.efforts import believable_joints
from warpgrasp.hands.convert.propose.facing import inner_directions
from warpgrasp.hands.convert.propose.jaws import JawMotion, jaw_annotation, study_jaw
from warpgrasp.hands.convert.propose.motion import (
    Chain,
    FingerMotion,
    batch_poses,
    find_chains,
    palm_links,
    study_motion,
)
from warpgrasp.hands.convert.propose.patches import finger_patches, palm_patch, patch_surface
from warpgrasp.hands.convert.propose.pose import HandLayout, opening_pose, study_layout
from warpgrasp.hands.convert.source import SourceHand
from warpgrasp.hands.model import ContactPatch, HandModel

__all__ = ["Guess", "propose"]

FloatArray = NDArray[np.float64]

_PALM_SPHERES, _LINK_SPHERES = 8, 4  # that a link has where they suffice
_MOST_SPHERES = 16
_FINGER_TYPES = {"precision": ("thumb", "index", "middle"), "pinch": ("thumb", "index")}


@dataclass(frozen=True)
class Guess:
    """One line of the report: what was proposed, how sure that is (0 to 1) and why."""

    topic: str
    value: str
    confidence: float
    reason: str


def propose(hand: HandModel, source: SourceHand) -> tuple[HandAnnotation, list[Guess], list[str]]:
    """Annotation of a hand with geometry and kinematics only.

    Args:
        hand: The hand, its links under the file's names; its drives are taken over where they can be true.
        source: What the file states, links and joints as in ``hand``.

    Returns:
        The annotation, its guesses, and sentences about efforts that were replaced.

    Raises:
        ValueError: No finger has geometry.
    """
    frame_names = {index: [name for name, _, _ in link.frames] for index, link in enumerate(source.links)}
    chains = find_chains(hand, frame_names, source.linkages)
    if not chains:
        raise ValueError(f"hand '{hand.name}' has no finger with geometry; add collision or visual meshes")
    palms = palm_links(hand, chains)
    if len(chains) == 1:
        jaw = study_jaw(hand, chains[0])
        if jaw is not None:
            return _with_efforts(hand, chains, source, *_one_jaw(hand, chains[0], jaw, palms))
    return _with_efforts(hand, chains, source, *_propose_fingers(hand, chains, palms))


def _with_efforts(
    hand: HandModel,
    chains: list[Chain],
    source: SourceHand,
    annotation: HandAnnotation,
    guesses: list[Guess],
) -> tuple[HandAnnotation, list[Guess], list[str]]:
    joints, sentences = believable_joints(hand, annotation, chains, {j.name: j for j in source.joints})
    return dataclasses.replace(annotation, joints=joints), guesses, sentences


def _propose_fingers(
    hand: HandModel, chains: list[Chain], palms: list[int]
) -> tuple[HandAnnotation, list[Guess]]:
    palm = palms[0]
    motion = study_motion(hand, chains)
    facings = inner_directions(hand, chains, motion)
    layout = study_layout(hand, chains, motion, facings)
    opening, opening_confidence = opening_pose(hand, chains, motion, layout, facings)
    rotation, position = (array[0] for array in batch_poses(hand, motion.straight[None]))
    patches: list[PatchAnnotation] = []
    for row, name in zip(facings, layout.names, strict=True):
        patches += finger_patches(hand, name, row)
    palm_patches: list[PatchAnnotation] = []
    for number, link in enumerate(palms):
        name = f"palm_{number + 1}" if number else "palm"
        palm_patches += palm_patch(hand, link, rotation[link].T @ layout.palm_normal, name)
    fingers = {
        name: tuple(hand.link_names[k] for k in chain.links)
        for name, chain in zip(layout.names, chains, strict=True)
    }
    fingers["palm"] = tuple(hand.link_names[link] for link in palms)
    where = _wrist_position(hand, palm, palm_patches[:1], rotation[palm], position[palm], layout)
    annotation = HandAnnotation(
        wrist=WristAnnotation(_triple(where), _triple(layout.finger_direction), _triple(layout.palm_normal)),
        fingers=fingers,
        joints=_joints(hand, opening),
        patches=tuple(palm_patches + patches),
        spheres=_spheres(hand, palm),
        grasp_types=_grasp_types(hand, chains, layout, motion),
    )
    guesses = _guesses(hand, chains, motion, layout, opening_confidence)
    guesses += _patch_guesses(hand, annotation, motion.closed, opening)
    return annotation, guesses


def _one_jaw(
    hand: HandModel, chain: Chain, jaw: JawMotion, palms: list[int]
) -> tuple[HandAnnotation, list[Guess]]:
    """A base with one moving jaw."""
    annotation = jaw_annotation(
        hand, chain, jaw, _joints(hand, jaw.opened), _spheres(hand, palms[0], jaw=True)
    )
    normal = np.asarray(annotation.wrist.palm_normal)
    guesses = [
        Guess("fingers", "one moving jaw and one that is part of the base", 0.8, "only one finger moves"),
        Guess("kind of hand", "gripper with a fixed jaw", 0.8, "the moving jaw would run into the base"),
        Guess(
            "closing",
            f"direction {_text(jaw.direction)}",
            min(1.0, 0.5 + jaw.share),
            "where the jaw meets the base",
        ),
        Guess(
            "palm frame",
            f"normal {_text(normal)} in '{hand.link_names[0]}'",
            0.6,
            "from the base to the jaw's tip",
        ),
        Guess("opening pose", "the other end of the jaw's range", 0.9, "a wide opening clears the object"),
    ]
    return annotation, guesses + _patch_guesses(hand, annotation, jaw.closed, jaw.opened)


def _wrist_position(
    hand: HandModel,
    palm: int,
    patches: list[PatchAnnotation],
    rotation: FloatArray,
    position: FloatArray,
    layout: HandLayout,
) -> FloatArray:
    """Middle of the palm's contact patch, else the palm geometry's farthest point along the normal."""
    if patches:
        surface = patch_surface(hand, patches[0], "palm")
        corner = surface.vertices[surface.faces]
        area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
        return np.asarray(position + rotation @ np.average(corner.mean(axis=1), axis=0, weights=area))
    shapes = hand.link_shapes(palm)
    if not shapes:
        return position
    points = position + np.concatenate([s.mesh.vertices for s in shapes]) @ rotation.T
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    height = float(((points - middle) @ layout.palm_normal).max())
    return np.asarray(middle + height * layout.palm_normal)


def _joints(hand: HandModel, opening: FloatArray) -> dict[str, JointAnnotation]:
    return {
        name: JointAnnotation(
            float(opening[dof]),
            float(hand.dof_effort[dof]),
            float(hand.dof_velocity[dof]),
            float(hand.dof_stiffness[dof]),
            float(hand.dof_damping[dof]),
            float(hand.dof_armature[dof]),
            float(hand.dof_friction[dof]),
        )
        for dof, name in enumerate(hand.joint_names)
    }


def _spheres(
    hand: HandModel, palm: int, *, jaw: bool = False
) -> dict[str, tuple[tuple[float, float, float, float], ...]]:
    """Spheres of every link; links of fingers, and the palm that is a jaw itself, have enough to be covered."""
    found = {}
    for link, name in enumerate(hand.link_names):
        base = link in (0, palm)
        shapes = hand.link_shapes(link)
        if shapes and base and not jaw:
            found[name] = cover_with_spheres(shapes, limit=_PALM_SPHERES)
        elif shapes:
            found[name] = enough_spheres(
                shapes, least=_PALM_SPHERES if base else _LINK_SPHERES, most=_MOST_SPHERES
            )
    return found


def _grasp_types(
    hand: HandModel, chains: list[Chain], layout: HandLayout, motion: FingerMotion
) -> dict[str, GraspTypeAnnotation]:
    found = {"power": GraspTypeAnnotation((*layout.names, "palm"))}
    if len(chains) == 2:
        found["pinch"] = GraspTypeAnnotation(layout.names, ("tip",))
        return found
    for name, wanted in _FINGER_TYPES.items():
        if not set(wanted) <= set(layout.names):
            continue
        idle: dict[str, float] = {}
        for chain, finger in zip(chains, layout.names, strict=True):
            if finger in wanted:
                continue
            for dof in sorted({int(hand.joint_dof[k]) for k in chain.links}):
                idle[hand.joint_names[dof]] = float(motion.straight[dof])
        taking_part = {
            hand.joint_names[int(hand.joint_dof[k])]
            for chain, finger in zip(chains, layout.names, strict=True)
            if finger in wanted
            for k in chain.links
        }
        idle = {joint: value for joint, value in idle.items() if joint not in taking_part}
        regions = ("tip",) if name == "pinch" or len(chains) > 3 else ("tip", "middle")
        found[name] = GraspTypeAnnotation(wanted, regions, idle)
    return found


def _guesses(
    hand: HandModel,
    chains: list[Chain],
    motion: FingerMotion,
    layout: HandLayout,
    opening_confidence: float,
) -> list[Guess]:
    kind = "gripper (fingers close on each other)" if layout.gripper else "fingers side by side and a thumb"
    spans = [f"{name} {len(c.links)} links" for name, c in zip(layout.names, chains, strict=True)]
    return [
        Guess(
            "fingers",
            ", ".join(spans),
            1.0 if layout.names_from_file else 0.6,
            "named after the file's links and joints" if layout.names_from_file else "named by position",
        ),
        Guess("kind of hand", kind, layout.confidence, "directions in which the fingers lie and bend"),
        Guess(
            "closing",
            f"fingertips {1e3 * motion.closed_gap:.0f} mm apart when closed",
            float(np.clip(1.5 - motion.closed_gap / 0.04, 0.2, 1.0)),
            "joint values that bring the fingertips together",
        ),
        Guess(
            "palm frame",
            f"normal {_text(layout.palm_normal)}, fingers {_text(layout.finger_direction)} in '{hand.link_names[0]}'",
            layout.confidence,
            "mean inner side of the fingers, their mean direction"
            + ("; a left hand" if layout.left_handed else ""),
        ),
        Guess(
            "opening pose",
            "as straight as the fingers face each other"
            if layout.gripper
            else "fingers slightly bent, thumb turned against them",
            opening_confidence,
            "a wide opening clears the object before and after the grasp"
            if layout.gripper
            else "the thumb's pad looks at the fingertips from a hand's width",
        ),
    ]


def _patch_guesses(
    hand: HandModel, annotation: HandAnnotation, closed: FloatArray, opening: FloatArray
) -> list[Guess]:
    """A patch is sure when, while the hand closes, another finger's patch comes to face it."""
    surfaces = [patch_surface(hand, p, annotation.finger_of_patch(p)) for p in annotation.patches]
    score = np.zeros(len(surfaces))
    path = np.linspace(opening, closed, 6)
    rotation, position = batch_poses(hand, path)
    local = [_middle(surface) for surface in surfaces]
    for step in range(len(path)):
        center = np.array(
            [
                position[step, s.link] + rotation[step, s.link] @ c
                for s, (c, _) in zip(surfaces, local, strict=True)
            ]
        )
        normal = np.array([rotation[step, s.link] @ n for s, (_, n) in zip(surfaces, local, strict=True)])
        away = center[None] - center[:, None]
        distance = np.linalg.norm(away, axis=2) + 1e-9
        facing = (
            np.minimum(np.einsum("ijk,ik->ij", away, normal), -np.einsum("ijk,jk->ij", away, normal))
            / distance
        )
        other = np.array([[a.finger != b.finger for b in surfaces] for a in surfaces])
        score = np.maximum(score, np.where(other & (distance < 0.15), facing, 0.0).max(axis=1, initial=0.0))
    return [
        Guess(
            f"patch {surface.name}",
            f"on '{hand.link_names[surface.link]}', {1e4 * _area(surface):.1f} cm2",
            float(value),
            "another finger's patch faces it while the hand closes"
            if value > 0.5
            else "hardly meets another patch",
        )
        for surface, value in zip(surfaces, score, strict=True)
    ]


def _middle(patch: ContactPatch) -> tuple[FloatArray, FloatArray]:
    corner = patch.vertices[patch.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    mean = normal.sum(axis=0)
    center = np.average(corner.mean(axis=1), axis=0, weights=np.linalg.norm(normal, axis=1))
    return center, mean / max(float(np.linalg.norm(mean)), 1e-12)


def _area(patch: ContactPatch) -> float:
    corner = patch.vertices[patch.faces]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return float(0.5 * np.linalg.norm(cross, axis=1).sum())


def _text(vector: FloatArray) -> str:
    return "(" + ", ".join(f"{v:.2f}" for v in vector) + ")"


def _triple(vector: FloatArray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in vector)
    return x, y, z
