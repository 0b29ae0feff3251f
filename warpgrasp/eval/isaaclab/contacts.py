"""What touches what, by the geometry of the synthesis: contact candidates of the hand against the object's surface.

The same on every physics engine, and the same points, distances and force-closure energy that made the grasps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.frames import inverse
from warpgrasp.synthesis.torch_bridge import ObjectSurfaces, contact_distance, force_closure

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["ContactGeometry", "Contacts", "finger_groups", "fingertip_poses", "fingertips"]

_TOUCH = 0.002  # m; nearer than this counts as contact: convex pieces stand up to this far off the mesh
_OPEN = 12.0  # energy of a hand that touches with less than two points; above that of any touching one


@dataclass(frozen=True, eq=False)
class Contacts:
    """Nearest candidate of each of P patches, in W worlds, object frame."""

    position: torch.Tensor  # [W, P, 3] m
    hand_normal: torch.Tensor  # [W, P, 3]
    closest_point: torch.Tensor  # [W, P, 3] m
    object_normal: torch.Tensor  # [W, P, 3]
    distance: torch.Tensor  # [W, P] m, negative inside
    touching: torch.Tensor  # [W, P] bool

    def put(self, worlds: torch.Tensor, other: Contacts) -> None:
        """Overwrite some worlds [N] with the contacts ``other`` of N worlds."""
        for field in dataclasses.fields(self):
            getattr(self, field.name)[worlds] = getattr(other, field.name)


class ContactGeometry:
    """Contact candidates of a hand, grouped by patch, and the surfaces of the objects.

    Args:
        hand: The hand; candidates are those of its power grasps.
        models: The objects.
        world_object: Object of each world, shape [W].
        device: Where everything lives.
    """

    def __init__(
        self,
        hand: HandModel,
        models: Sequence[ObjectModel],
        world_object: torch.Tensor,
        device: torch.device | str,
    ) -> None:
        candidates = hand.contact_candidates("power")
        patches, patch = np.unique(candidates.patch, return_inverse=True)
        self.patch_count = len(patches)
        widest = int(np.bincount(patch).max())
        slots = np.zeros((self.patch_count, widest), dtype=np.int64)
        for index in range(self.patch_count):
            members = np.flatnonzero(patch == index)
            slots[index] = np.resize(members, widest)  # a short patch repeats its points
        finger = [int(candidates.finger[row[0]]) for row in slots]
        self.finger_names = tuple(candidates.finger_names)
        members = np.array(finger)[:, None] == np.arange(len(self.finger_names))
        self._finger_patches = torch.as_tensor(members.astype(np.float32), device=device)  # [P, fingers]
        self._slots = torch.as_tensor(slots, device=device)
        self._link = torch.as_tensor(candidates.link.astype(np.int64), device=device)
        self._position = torch.as_tensor(candidates.position, dtype=torch.float32, device=device)
        self._normal = torch.as_tensor(candidates.normal, dtype=torch.float32, device=device)
        self._surfaces = ObjectSurfaces(models, device)
        self._world_object = world_object.to(device)
        centers = np.array([model.center_of_mass for model in models])
        self._center = torch.as_tensor(centers, dtype=torch.float32, device=device)

    def contacts(
        self, link_pose: torch.Tensor, object_pose: torch.Tensor, worlds: torch.Tensor | None = None
    ) -> Contacts:
        """Nearest candidate of every patch.

        Args:
            link_pose: Links, shape [N, L, 7].
            object_pose: Objects, shape [N, 7].
            worlds: The worlds these are of, shape [N]; all in order when ``None``.
        """
        objects = self._world_object if worlds is None else self._world_object[worlds]
        pose = link_pose[:, self._link]
        point = pose[..., :3] + rotate(pose[..., 3:], self._position[None])
        normal = rotate(pose[..., 3:], self._normal[None])
        back = inverse(object_pose)[:, None, :]
        point = back[..., :3] + rotate(back[..., 3:], point)
        normal = rotate(back[..., 3:], normal)
        index = objects[:, None].expand(point.shape[:2]).reshape(-1)
        closest, outward, distance = self._surfaces.closest(point.reshape(-1, 3), index)
        shape = point.shape[:2]
        nearest = distance.view(shape)[:, self._slots].argmin(dim=2)
        chosen = self._slots[torch.arange(self.patch_count, device=nearest.device)[None, :], nearest]
        pick = chosen[..., None].expand(-1, -1, 3)
        near = distance.view(shape).gather(1, chosen)
        return Contacts(
            position=point.gather(1, pick),
            hand_normal=normal.gather(1, pick),
            closest_point=closest.view(*shape, 3).gather(1, pick),
            object_normal=outward.view(*shape, 3).gather(1, pick),
            distance=near,
            touching=near < _TOUCH,
        )

    def finger_contact(self, contacts: Contacts) -> torch.Tensor:
        """Whether each finger touches, shape [W, fingers], 0 or 1."""
        return (contacts.touching.float() @ self._finger_patches).clamp(max=1.0)

    def force_closure(self, contacts: Contacts) -> torch.Tensor:
        """Force-closure energy of the patches that touch, by the synthesis' kernel, shape [W].

        A patch in the air stands in for the first that touches; with less than two touching the energy is that of
        no grasp.
        """
        touching = contacts.touching
        first = touching.float().argmax(dim=1)
        own = torch.arange(self.patch_count, device=touching.device)[None, :]
        index = torch.where(touching, own, first[:, None])[..., None].expand(-1, -1, 3)
        energy = force_closure(
            contacts.position.gather(1, index),
            contacts.object_normal.gather(1, index),
            self._center,
            self._world_object,
        )
        energy = torch.where(touching.sum(dim=1) >= 2, energy, torch.full_like(energy, _OPEN))
        return energy.nan_to_num(_OPEN).clamp(max=_OPEN)

    def distance(self, contacts: Contacts) -> torch.Tensor:
        """Contact distance energy [m], by the synthesis' kernel, shape [W]."""
        return contact_distance(
            contacts.position, contacts.hand_normal, contacts.closest_point, contacts.object_normal
        )


def finger_groups(hand: HandModel) -> np.ndarray:
    """Group of each degree of freedom, shape [J]: those that move the same fingers belong together."""
    fingers: list[set[str]] = [set() for _ in range(hand.dof_count)]
    for patch in hand.patches:
        link = patch.link
        while link >= 0:
            if hand.joint_dof[link] >= 0:
                fingers[int(hand.joint_dof[link])].add(patch.finger)
            link = int(hand.link_parent[link])
    names = [tuple(sorted(own)) for own in fingers]
    order = list(dict.fromkeys(names))
    return np.array([order.index(name) for name in names], dtype=np.int64)


def fingertips(hand: HandModel) -> tuple[np.ndarray, np.ndarray]:
    """Link [F] and position in it [F, 3] of every fingertip: the middle of the patches that are called tip."""
    links, positions = [], []
    for finger in dict.fromkeys(patch.finger for patch in hand.patches if patch.finger != "palm"):
        own = [patch for patch in hand.patches if patch.finger == finger]
        tips = [patch for patch in own if patch.region == "tip"] or own[-1:]
        links.append(tips[0].link)
        positions.append(np.concatenate([p.vertices for p in tips if p.link == tips[0].link]).mean(axis=0))
    return np.array(links, dtype=np.int64), np.array(positions)


def fingertip_poses(link_pose: torch.Tensor, links: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Poses of the fingertips, shape [W, F, 7], of links [W, L, 7]."""
    pose = link_pose[:, links]
    point = pose[..., :3] + rotate(pose[..., 3:], positions[None])
    return torch.cat([point, pose[..., 3:]], dim=-1)
