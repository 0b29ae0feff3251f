"""The arrays of a batch of grasps on the device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import warp as wp

from warpgrasp.kernels.contact import Contacts

__all__ = ["GraspState"]


@dataclass
class GraspState:
    """Arrays of ``B`` grasps on one device: the variables, the geometry derived from them, energies and gradient."""

    root_pose: wp.array  #: [B] transform, hand root in the object frame
    joint_position: wp.array  #: [B, J] rad or m
    contact_index: wp.array  #: [B, C] active candidates
    link_pose: wp.array  #: [B, L] transform
    contact_position: wp.array  #: [B, C] vec3, m
    hand_normal: wp.array  #: [B, C] vec3, out of the hand
    closest_point: wp.array  #: [B, C] vec3, m; on entry a guess on the mesh
    object_normal: wp.array  #: [B, C] vec3, out of the object
    contact_distance: wp.array  #: [B, C] m, negative inside
    qp_dual: wp.array  #: [B] vec6, warm start of the force-closure QP
    energy_terms: wp.array  #: [K, B] unweighted
    energy: wp.array  #: [B]
    gradient: wp.array  #: [B, 6 + J]
    link_wrench: wp.array  #: [B, L] vec6 accumulator, zero between evaluations
    joint_force: wp.array  #: [B, J] accumulator, zero between evaluations
    scratch: dict[str, Any] = field(default_factory=dict)

    @property
    def contacts(self) -> Contacts:
        """The arrays of the active contacts as one kernel argument."""
        result = Contacts()
        result.index = self.contact_index
        result.position = self.contact_position
        result.hand_normal = self.hand_normal
        result.closest_point = self.closest_point
        result.object_normal = self.object_normal
        result.distance = self.contact_distance
        return result

    def buffer(
        self, name: str, shape: tuple[int, ...], dtype: Any, *, requires_grad: bool = False
    ) -> wp.array:
        """Scratch array of an energy term, made at its first use and kept; its gradient is zero, its values are the last."""
        if name not in self.scratch:
            self.scratch[name] = wp.zeros(
                shape, dtype=dtype, device=self.root_pose.device, requires_grad=requires_grad
            )
        array: wp.array = self.scratch[name]
        if array.requires_grad:
            array.grad.zero_()  # a tape adds to it
        return array
