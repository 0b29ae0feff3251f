"""The fingertips of a hand for methods that grasp with nothing else: one sphere and the surface of every tip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.hands.contact_sampling import sample_candidates
from warpgrasp.kernels.energies.fingertips import Fingertips

if TYPE_CHECKING:
    from warpgrasp.hands.model import ContactPatch, HandModel

__all__ = ["TipModel", "fingertips"]

FloatArray = NDArray[np.float64]

_SPACING = 0.003  # m between points on a tip
_TIP = "tip"
_PALM = "palm"


@dataclass(frozen=True, eq=False)
class TipModel:
    """``F`` fingertips; arrays in the frames of their links."""

    fingers: tuple[str, ...]
    """Name of each tip's finger, [F]."""
    link: NDArray[np.int32]
    """Shape [F]."""
    center: FloatArray
    """Centre of the sphere that stands for the tip [m], shape [F, 3]."""
    radius: FloatArray
    """Shape [F], m."""
    points: tuple[FloatArray, ...]
    """Points on the surface of each tip [m], [F] arrays of shape [P, 3]."""
    normals: tuple[FloatArray, ...]
    """Outward unit normals there."""

    def on_device(self, device: Any) -> Fingertips:
        """The tips as a kernel argument."""
        result = Fingertips()
        result.link = wp.array(self.link, dtype=wp.int32, device=device)
        result.center = wp.array(self.center, dtype=wp.vec3, device=device)
        result.radius = wp.array(self.radius, dtype=wp.float32, device=device)
        start = np.concatenate([[0], np.cumsum([len(part) for part in self.points])])
        result.point_start = wp.array(start, dtype=wp.int32, device=device)
        result.point = wp.array(np.concatenate(self.points), dtype=wp.vec3, device=device)
        return result


def fingertips(hand: HandModel, grasp_type: str) -> TipModel:
    """The tips of the fingers that take part in a grasp type, in the order of the hand's patches.

    The sphere of a tip is the one of the link's self-collision spheres that reaches nearest to the middle of the tip's patch.

    Raises:
        ValueError: Fewer than two of the grasp type's fingers have a contact patch of the region ``tip``.
    """
    taking_part = set(hand.grasp_types[grasp_type].patch_names)
    patches: dict[str, ContactPatch] = {}
    for patch in hand.patches:
        if patch.region == _TIP and patch.finger != _PALM and patch.name in taking_part:
            patches.setdefault(patch.finger, patch)
    if len(patches) < 2:
        raise ValueError(
            f"hand {hand.name!r} has {len(patches)} fingers with a contact patch of the region 'tip' in grasp type "
            f"{grasp_type!r}, and a fingertip grasp needs two: choose another grasp type or annotate tips"
        )
    center, radius, points, normals = [], [], [], []
    for patch in patches.values():
        corner = patch.vertices[patch.faces]
        area = 0.5 * np.linalg.norm(
            np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1
        )
        middle = np.average(corner.mean(axis=1), axis=0, weights=area)
        own = np.flatnonzero(hand.sphere_link == patch.link)
        gap = np.linalg.norm(hand.sphere_position[own] - middle, axis=1) - hand.sphere_radius[own]
        if len(own) == 0:
            raise ValueError(
                f"link {hand.link_names[patch.link]!r} of hand {hand.name!r} has no self-collision sphere; add one"
            )
        chosen = own[np.argmin(gap)]
        center.append(hand.sphere_position[chosen])
        radius.append(hand.sphere_radius[chosen])
        count = int(np.clip(area.sum() / _SPACING**2, 16, 300))
        spread = sample_candidates([patch], [hand.link_shapes(patch.link)], count=count)
        points.append(spread.position)
        normals.append(spread.normal)
    return TipModel(
        tuple(patches),
        np.array([patch.link for patch in patches.values()], dtype=np.int32),
        np.array(center),
        np.array(radius),
        tuple(points),
        tuple(normals),
    )
