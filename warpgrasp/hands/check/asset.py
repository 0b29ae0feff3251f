"""What can be wrong with a hand before any grasp is computed: joints, drives, masses, spheres, patches, opening pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, rotate
from warpgrasp.hands.authoring.sphere_cover import MOST_UNCOVERED, uncovered_depth
from warpgrasp.hands.fingertip_force import fingertip_forces, strength_warnings
from warpgrasp.hands.model import HandModel

__all__ = ["Finding", "check_hand", "grasp_range"]

FloatArray = NDArray[np.float64]

_POSES = 300
_NEAR = 0.15  # m between two patches that face each other
_FACING = 0.5  # cosine between a patch' normal and the way to the other
_SHALLOW = 2e-3  # m of overlap of spheres that counts as a collision
_LIGHTEST, _HEAVIEST = 1e-4, 20.0  # kg


@dataclass(frozen=True)
class Finding:
    """One line of the check: what was looked at, whether it is well, and what was found."""

    topic: str
    ok: bool
    detail: str


def check_hand(hand: HandModel) -> list[Finding]:
    """Check an asset without computing grasps; takes a second or two."""
    centers = _all_placed(hand)
    return [
        _kinematics(hand),
        _drives(hand),
        _masses(hand),
        _spheres(hand),
        _patches(hand, centers),
        _opening(hand),
        _range(hand, centers),
    ]


def grasp_range(hand: HandModel) -> tuple[float, float]:
    """Smallest and largest distance between two fingertips that face each other, over random poses [m]; (inf, 0) for none."""
    return _grasp_range(hand, _all_placed(hand))


def _random_poses(hand: HandModel) -> FloatArray:
    random = np.random.default_rng(0)
    lower, upper = hand.dof_lower, hand.dof_upper
    # a hinge that may turn all the way round is not used that far
    lower, upper = np.maximum(lower, hand.dof_opening - 1.9), np.minimum(upper, hand.dof_opening + 1.9)
    poses = random.uniform(lower, upper, size=(_POSES, hand.dof_count))
    return np.concatenate([hand.dof_opening[None], poses])


def _kinematics(hand: HandModel) -> Finding:
    span = hand.dof_upper - hand.dof_lower
    still = [name for name, value in zip(hand.joint_names, span, strict=True) if value < 1e-3]
    followers = sum(bool(name) for name in hand.link_joint_names) - hand.dof_count
    if still:
        return Finding("joints", False, f"{_listed(still)} cannot move: correct their limits")
    return Finding(
        "joints", True, f"{hand.dof_count} independent, {followers} coupled, {hand.link_count} links"
    )


def _drives(hand: HandModel) -> Finding:
    for key in ("stiffness", "effort"):
        values = getattr(hand, f"dof_{key}")
        bad = [n for n, v in zip(hand.joint_names, values, strict=True) if not (np.isfinite(v) and v > 0.0)]
        if bad:
            return Finding(
                "drives", False, f"{_listed(bad)} have no {key}: set it under 'joints' in annotation.yaml"
            )
    warnings = strength_warnings(hand)
    if warnings:
        return Finding("drives", False, "; ".join(warnings))
    forces = ", ".join(f"{row.finger} {row.force:.3g} N" for row in fingertip_forces(hand))
    return Finding("drives", True, f"fingertips press with {forces}")


def _masses(hand: HandModel) -> Finding:
    total = float(hand.link_mass.sum())
    moments = np.linalg.eigvalsh(hand.link_inertia)
    light = [n for n, m in zip(hand.link_names, hand.link_mass, strict=True) if m < _LIGHTEST]
    unphysical = moments[:, 0] + moments[:, 1] < moments[:, 2] * (1.0 - 1e-4)
    bad = [n for n, wrong in zip(hand.link_names, unphysical, strict=True) if wrong]
    if bad:
        return Finding("masses", False, f"{_listed(bad)} have an inertia that no solid body has")
    if total > _HEAVIEST:
        return Finding("masses", False, f"{total:.3g} kg in all: masses seem to be in grams or of an arm")
    detail = f"{total:.3g} kg, lightest link {1e3 * hand.link_mass.min():.3g} g"
    return Finding("masses", not light, detail + (f"; {_listed(light)} nearly nothing" if light else ""))


def _spheres(hand: HandModel) -> Finding:
    bare, deepest = [], 0.0
    touching = {patch.link for patch in hand.patches if patch.region != "palm"}
    for link, name in enumerate(hand.link_names):
        shapes = hand.link_shapes(link)
        own = hand.sphere_link == link
        if not shapes or link not in touching:
            continue
        if not own.any():
            bare.append(name)
            continue
        rows = np.column_stack([hand.sphere_position[own], hand.sphere_radius[own]])
        depth = float(np.percentile(uncovered_depth(shapes, rows), 90))
        deepest = max(deepest, depth)
        if depth > MOST_UNCOVERED:
            bare.append(name)
    count = len(hand.sphere_link)
    if bare:
        return Finding(
            "spheres", False, f"{count}; {_listed(bare)} stand out by up to {1e3 * deepest:.0f} mm: add spheres, or delete the "
            "section 'spheres' to have it proposed again"
        )  # fmt: skip
    return Finding(
        "spheres", True, f"{count}; 90 % of the finger links' surface within {1e3 * max(deepest, 0.0):.1f} mm"
    )


def _patches(hand: HandModel, centers: dict[str, tuple[FloatArray, FloatArray]]) -> Finding:
    if not hand.patches:
        return Finding("patches", False, "none: convert the file, or annotate the asset")
    lonely = []
    for patch in hand.patches:
        best = 0.0
        for other in hand.patches:
            if other.finger != patch.finger:
                best = max(best, float(_facing(centers[patch.name], centers[other.name]).max()))
        if best < _FACING:
            lonely.append(patch.name)
    buried = []
    for grasp_type in hand.grasp_types:
        try:
            hand.contact_candidates(grasp_type)
        except ValueError as error:
            buried.append(f"{grasp_type}: {error}")
    if buried:
        return Finding("patches", False, "; ".join(buried))
    palms = {patch.finger for patch in hand.patches if patch.region == "palm"}
    detail = f"{len(hand.patches)} on {len(set(hand.fingers) - palms)} fingers" + " and palm" * bool(palms)
    if lonely:
        detail += f"; no other finger's patch ever faces {_listed(lonely)}"
    return Finding("patches", len(lonely) <= len(hand.patches) // 3, detail)


def _opening(hand: HandModel) -> Finding:
    center = hand.sphere_centers(np.zeros(3), IDENTITY_QUATERNION, hand.dof_opening)
    parent = hand.link_parent
    worst, pair = 0.0, ("", "")
    for a in range(len(center)):
        for b in range(a):
            one, two = int(hand.sphere_link[a]), int(hand.sphere_link[b])
            related = one == two or parent[one] == two or parent[two] == one
            listed = any({one, two} == {int(c), int(d)} for c, d in hand.filtered_links)
            if related or listed or parent[one] == parent[two]:
                continue
            depth = float(
                hand.sphere_radius[a] + hand.sphere_radius[b] - np.linalg.norm(center[a] - center[b])
            )
            if depth > worst:
                worst, pair = depth, (hand.link_names[one], hand.link_names[two])
    if worst > _SHALLOW:
        return Finding(
            "opening pose",
            False,
            f"'{pair[0]}' and '{pair[1]}' overlap by {1e3 * worst:.0f} mm: change 'opening' of a joint",
        )
    return Finding("opening pose", True, "within the limits, links apart")


def _range(hand: HandModel, centers: dict[str, tuple[FloatArray, FloatArray]]) -> Finding:
    least, most = _grasp_range(hand, centers)
    if most <= 0.0:
        return Finding(
            "grasp range", False, "no two fingertips ever face each other: look at the patches' directions"
        )
    detail = f"fingertips face each other from {1e3 * least:.0f} to {1e3 * most:.0f} mm apart"
    return Finding("grasp range", most > 0.02, detail)


def _grasp_range(hand: HandModel, centers: dict[str, tuple[FloatArray, FloatArray]]) -> tuple[float, float]:
    tips = [patch for patch in hand.patches if patch.region == "tip"]
    least, most = np.inf, 0.0
    for number, patch in enumerate(tips):
        for other in tips[:number]:
            if other.finger == patch.finger:
                continue
            away = np.linalg.norm(centers[patch.name][0] - centers[other.name][0], axis=1)
            good = _facing(centers[patch.name], centers[other.name], limit=np.inf) > _FACING
            if good.any():
                least, most = min(least, float(away[good].min())), max(most, float(away[good].max()))
    return least, most


def _all_placed(hand: HandModel) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Middle and mean normal of every patch in the root frame over random poses, shapes [N, 3]."""
    links = [hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, q) for q in _random_poses(hand)]
    found = {}
    for patch in hand.patches:
        corner = patch.vertices[patch.faces]
        area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        middle = np.average(corner.mean(axis=1), axis=0, weights=np.linalg.norm(area, axis=1))
        normal = area.sum(axis=0) / max(float(np.linalg.norm(area.sum(axis=0))), 1e-12)
        poses = [(position[patch.link], quaternion[patch.link]) for position, quaternion in links]
        found[patch.name] = (
            np.array([position + rotate(quaternion, middle) for position, quaternion in poses]),
            np.array([rotate(quaternion, normal) for _, quaternion in poses]),
        )
    return found


def _facing(
    one: tuple[FloatArray, FloatArray], two: tuple[FloatArray, FloatArray], limit: float = _NEAR
) -> FloatArray:
    """How well two patches look at each other in every pose: the smaller cosine, 0 where they are far apart."""
    away = two[0] - one[0]
    distance = np.linalg.norm(away, axis=1) + 1e-9
    along = away / distance[:, None]
    cosine = np.minimum(np.einsum("ij,ij->i", one[1], along), -np.einsum("ij,ij->i", two[1], along))
    return np.asarray(np.where(distance < limit, cosine, 0.0))


def _listed(names: list[str]) -> str:
    head = ", ".join(f"'{name}'" for name in names[:3])
    return head if len(names) <= 3 else f"{head} and {len(names) - 3} more"
