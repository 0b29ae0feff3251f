"""Propose the whole grasp annotation of a hand that has none, with a confidence and a reason for every guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.authoring.sphere_cover import cover_with_spheres
from warpgrasp.hands.convert.annotation_file import (
    GraspTypeAnnotation,
    HandAnnotation,
    JointAnnotation,
    PatchAnnotation,
    WristAnnotation,
)
from warpgrasp.hands.convert.propose.facing import inner_directions
from warpgrasp.hands.convert.propose.motion import (
    Chain,
    FingerMotion,
    batch_poses,
    find_chains,
    palm_link,
    study_motion,
)
from warpgrasp.hands.convert.propose.patches import finger_patches, palm_patch, patch_surface
from warpgrasp.hands.convert.propose.pose import HandLayout, opening_pose, study_layout
from warpgrasp.hands.model import ContactPatch, HandModel

__all__ = ["Guess", "propose"]

FloatArray = NDArray[np.float64]

_PALM_SPHERES, _LINK_SPHERES = 8, 4
_FINGER_TYPES = {"precision": ("thumb", "index", "middle"), "pinch": ("thumb", "index")}


@dataclass(frozen=True)
class Guess:
    """One line of the report: what was proposed, how sure that is (0 to 1) and why."""

    topic: str
    value: str
    confidence: float
    reason: str


def propose(hand: HandModel, frame_names: dict[int, list[str]]) -> tuple[HandAnnotation, list[Guess]]:
    """Annotation of a hand with geometry and kinematics only.

    Args:
        hand: The hand; its drives are taken over.
        frame_names: Names of merged links by link index; fingers may be called after them.

    Raises:
        ValueError: No finger has geometry.
    """
    chains = find_chains(hand, frame_names)
    if not chains:
        raise ValueError(f"hand '{hand.name}' has no finger with geometry; add collision or visual meshes")
    palm = palm_link(hand)
    motion = study_motion(hand, chains)
    facings = inner_directions(hand, chains, motion)
    layout = study_layout(hand, chains, motion, facings)
    opening, opening_confidence = opening_pose(hand, chains, motion, layout, facings)
    rotation, position = (array[0] for array in batch_poses(hand, motion.straight[None]))
    patches: list[PatchAnnotation] = []
    for row, name in zip(facings, layout.names, strict=True):
        patches += finger_patches(hand, name, row)
    palm_patches = palm_patch(hand, palm, rotation[palm].T @ layout.palm_normal)
    fingers = {
        name: tuple(hand.link_names[k] for k in chain.links)
        for name, chain in zip(layout.names, chains, strict=True)
    }
    fingers["palm"] = (hand.link_names[palm],)
    where = _wrist_position(hand, palm, palm_patches, rotation[palm], position[palm], layout)
    annotation = HandAnnotation(
        wrist=WristAnnotation(_triple(where), _triple(layout.thumb_direction), _triple(layout.palm_normal)),
        fingers=fingers,
        joints=_joints(hand, opening),
        patches=tuple(palm_patches + patches),
        spheres=_spheres(hand, palm),
        grasp_types=_grasp_types(hand, chains, layout, motion),
    )
    guesses = _guesses(hand, chains, motion, layout, opening_confidence)
    guesses += _patch_guesses(hand, annotation, motion, opening)
    return annotation, guesses


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


def _spheres(hand: HandModel, palm: int) -> dict[str, tuple[tuple[float, float, float, float], ...]]:
    found = {}
    for link, name in enumerate(hand.link_names):
        limit = _PALM_SPHERES if link in (0, palm) else _LINK_SPHERES
        shapes = hand.link_shapes(link)
        if shapes:
            found[name] = cover_with_spheres(shapes, limit=limit)
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
            + ("; a left hand: x points away from the thumb" if layout.left_handed else ""),
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
    hand: HandModel, annotation: HandAnnotation, motion: FingerMotion, opening: FloatArray
) -> list[Guess]:
    """A patch is sure when, while the hand closes, another finger's patch comes to face it."""
    surfaces = [patch_surface(hand, p, annotation.finger_of(p.link)) for p in annotation.patches]
    score = np.zeros(len(surfaces))
    path = np.linspace(opening, motion.closed, 6)
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
