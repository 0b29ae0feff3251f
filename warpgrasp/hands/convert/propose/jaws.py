"""Grippers with one moving jaw: the other jaw is a part of the base, found where the moving one would meet it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.contact_sampling import spread_over_mesh
from warpgrasp.hands.convert.annotation_file import (
    GraspTypeAnnotation,
    HandAnnotation,
    JointAnnotation,
    PatchAnnotation,
    Triple,
    WristAnnotation,
)
from warpgrasp.hands.convert.propose.motion import Chain, batch_poses, palm_link
from warpgrasp.hands.convert.propose.patches import palm_patch, patch_surface
from warpgrasp.hands.model import HandModel

__all__ = ["JawMotion", "jaw_annotation", "study_jaw"]

FloatArray = NDArray[np.float64]

_SAMPLES = 400  # on the moving jaw's surface
_PROBE = np.linspace(0.0, 0.06, 61)  # m that a jaw may stay away from the other when it is closed
_FACING = 0.7  # cosine between a face and the direction in which the jaw closes
_PAD_ANGLE = 40.0  # deg
_MARGIN = 2e-3  # m around the faces that meet
_LEAST_SHARE = 0.1  # of the jaw's front that must meet something


@dataclass(frozen=True, eq=False)
class JawMotion:
    """How one jaw closes, in the root frame."""

    opened: FloatArray
    closed: FloatArray
    direction: FloatArray
    met: FloatArray
    """Points of the base that its front would meet [m], shape [N, 3]."""
    share: float
    """Share of its front that meets something."""


def study_jaw(hand: HandModel, chain: Chain) -> JawMotion | None:
    """Try both ends of the jaw's joints: it closes where its front would run into the base. None: it meets nothing."""
    dofs = sorted({int(hand.joint_dof[k]) for k in chain.links if hand.joint_dof[k] >= 0})
    still = hand.link_shapes(0)
    if palm_link(hand) != 0 or not still or not dofs or not hand.link_shapes(chain.tip_link):
        return None
    best: JawMotion | None = None
    for end in (0, 1):
        limits = np.stack([hand.dof_lower, hand.dof_upper])
        closed = np.clip(0.0, hand.dof_lower, hand.dof_upper)
        opened = closed.copy()
        closed[dofs], opened[dofs] = limits[end, dofs], limits[1 - end, dofs]
        before = closed + 0.02 * (opened - closed)
        rotation, position = batch_poses(hand, np.stack([closed, before]))
        shapes = hand.link_shapes(chain.tip_link)
        corners = np.concatenate([shape.mesh.vertices[shape.mesh.faces] for shape in shapes])
        local, normal = spread_over_mesh(corners, _SAMPLES)
        place = [position[n, chain.tip_link] + local @ rotation[n, chain.tip_link].T for n in (0, 1)]
        direction = (place[0] - place[1]).mean(axis=0)
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
        front = normal @ rotation[0, chain.tip_link].T @ direction > _FACING
        if not front.any():
            continue
        ahead = place[0][front][:, None] + _PROBE[None, :, None] * direction
        flat = ahead.reshape(-1, 3)
        inside = np.min([shape.inner_distance(flat) for shape in still], axis=0) < 1e-4
        inside = inside.reshape(len(ahead), -1)
        hit = inside.any(axis=1)
        met = ahead[hit, np.argmax(inside[hit], axis=1)]
        share = float(hit.mean())
        if share > _LEAST_SHARE and (best is None or share > best.share):
            best = JawMotion(opened, closed, direction, met, share)
    return best


def jaw_annotation(
    hand: HandModel,
    chain: Chain,
    jaw: JawMotion,
    joints: dict[str, JointAnnotation],
    spheres: dict[str, tuple[tuple[float, float, float, float], ...]],
) -> HandAnnotation:
    """Annotation of a base and one moving jaw: a patch on either jaw and on the base between them."""
    rotation, position = (array[0] for array in batch_poses(hand, jaw.closed[None]))
    tip = chain.tip_link
    moving = chain.hint or "moving_jaw"
    root, link = hand.link_names[0], hand.link_names[tip]
    away = position[tip] + rotation[tip] @ chain.tip - position[chain.links[0]]
    forward = away - (away @ jaw.direction) * jaw.direction
    forward /= max(float(np.linalg.norm(forward)), 1e-12)
    low, high = jaw.met.min(axis=0) - _MARGIN, jaw.met.max(axis=0) + _MARGIN
    patches = [
        *palm_patch(hand, 0, forward),
        PatchAnnotation(
            "fixed_jaw_tip", root, "tip", _triple(-jaw.direction), _PAD_ANGLE, _triple(low), _triple(high)
        ),
        PatchAnnotation("moving_jaw_tip", link, "tip", _triple(rotation[tip].T @ jaw.direction), _PAD_ANGLE),
    ]
    patches = [
        PatchAnnotation(p.name, p.link, p.region, p.direction, p.angle_deg, p.lower, p.upper, finger)
        for p, finger in zip(patches, (["palm"] * (len(patches) - 2)) + ["fixed_jaw", moving], strict=True)
    ]
    patches = [patch for patch in patches if _has_faces(hand, patch)]
    names = ("fixed_jaw", moving)
    return HandAnnotation(
        wrist=WristAnnotation(_triple(jaw.met.mean(axis=0)), _triple(jaw.direction), _triple(forward)),
        fingers={
            moving: tuple(hand.link_names[k] for k in chain.links),
            "fixed_jaw": (root,),
            "palm": (root,),
        },
        joints=joints,
        patches=tuple(patches),
        spheres=spheres,
        grasp_types={
            "power": GraspTypeAnnotation((*names, "palm")),
            "pinch": GraspTypeAnnotation(names, ("tip",)),
        },
    )


def _has_faces(hand: HandModel, patch: PatchAnnotation) -> bool:
    try:
        patch_surface(hand, patch, "any")
    except ValueError:
        return False
    return True


def _triple(vector: FloatArray) -> Triple:
    x, y, z = (float(v) for v in vector)
    return x, y, z
