"""The energies of the synthesis on torch tensors: same kernels, same numbers, no copy, gradients through autograd.

Everything reads and writes torch memory through ``wp.from_torch``. torch is not a dependency of the package: it is
imported when this module is, with a message that says so.

Gradients are those of the synthesis: closest points, normals and active sets are frozen, see
``docs/concepts/distances.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import warp as wp

from warpgrasp.kernels.contact import launch_distance_taped
from warpgrasp.kernels.energies.force_closure_taped import launch_force_closure_taped
from warpgrasp.kernels.mesh_distance import MeshSet, launch_signed_distance
from warpgrasp.objects.device import mesh_set
from warpgrasp.synthesis.energy_terms import Distance, ForceClosure

try:
    import torch
except ImportError as error:
    raise ImportError("warpgrasp.synthesis.torch_bridge needs torch: pip install torch") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.problem import GraspProblem

__all__ = ["ObjectSurfaces", "contact_distance", "force_closure", "grasp_energy"]


def force_closure(
    contact_position: torch.Tensor,
    object_normal: torch.Tensor,
    center_of_mass: torch.Tensor,
    object_index: torch.Tensor | None = None,
    *,
    term: ForceClosure | None = None,
) -> torch.Tensor:
    """Force-closure energy ``E_fc`` (Zurbrügg et al. 2025, Eq. 4-5) of B grasps with C contacts; lower is better.

    Args:
        contact_position: Contacts [m], object frame, shape [B, C, 3]; gradients flow here.
        object_normal: Outward object normals, unit length, shape [B, C, 3]; frozen.
        center_of_mass: Of each object [m], shape [O, 3].
        object_index: Object of each grasp, shape [B]; 0 when ``None``.
        term: Hyper-parameters.

    Returns:
        Energy, shape [B].

    Raises:
        ValueError: Shapes that do not fit, or another type than float32.
    """
    term = term or ForceClosure()
    _check("contact_position", contact_position, 3)
    _check("object_normal", object_normal, 3)
    _check("center_of_mass", center_of_mass, 2)
    if contact_position.shape != object_normal.shape:
        raise ValueError(
            f"object_normal must have the shape of contact_position {tuple(contact_position.shape)} "
            f"(got {tuple(object_normal.shape)})"
        )
    if object_index is None:
        object_index = torch.zeros(len(contact_position), dtype=torch.int32, device=contact_position.device)
    index = _array(object_index.to(torch.int32).contiguous())
    normal, center = _vectors(object_normal), _vectors(center_of_mass)

    def launch(position: wp.array, energy: wp.array) -> None:
        launch_force_closure_taped(
            position,
            normal,
            center,
            index,
            friction=term.friction,
            edge_count=term.edge_count,
            torque_weight=term.torque_weight,
            gain=term.gain,
            offset=term.offset,
            decay=term.decay,
            factor=term.factor,
            qp=term.qp,
            energy=energy,
        )

    return _Taped.apply(launch, contact_position)


def contact_distance(
    contact_position: torch.Tensor,
    hand_normal: torch.Tensor,
    closest_point: torch.Tensor,
    object_normal: torch.Tensor,
    *,
    term: Distance | None = None,
) -> torch.Tensor:
    """Contact distance energy ``E_dis`` (P. Li et al. 2023; Zurbrügg et al. 2025) of B grasps with C contacts [m], shape [B].

    Args:
        contact_position: Contacts on the hand [m], object frame, shape [B, C, 3]; gradients flow here.
        hand_normal: Out of the hand, unit length, shape [B, C, 3]; gradients flow here.
        closest_point: Closest points of the object [m], shape [B, C, 3]; frozen, see :class:`ObjectSurfaces`.
        object_normal: Outward object normals there, shape [B, C, 3]; frozen.
        term: Hyper-parameters.
    """
    term = term or Distance()
    for name, value in (("contact_position", contact_position), ("hand_normal", hand_normal)):
        _check(name, value, 3)
    closest, normal = _vectors(closest_point), _vectors(object_normal)

    def launch(position: wp.array, own_normal: wp.array, energy: wp.array) -> None:
        launch_distance_taped(position, own_normal, closest, normal, term.normal_weighted, energy=energy)

    return _Taped.apply(launch, contact_position, hand_normal)


def grasp_energy(
    problem: GraspProblem,
    root_pose: torch.Tensor,
    joint_position: torch.Tensor,
    contact_index: torch.Tensor,
) -> torch.Tensor:
    """Total energy of ``problem`` at tensors of your own, differentiable with respect to poses and joints.

    Args:
        problem: Hand, objects, terms; its batch size is B.
        root_pose: Position [m] and quaternion xyzw of the hand root, object frame, shape [B, 7]; the quaternion is
            normalised first, so that a step of an optimiser may leave the unit sphere.
        joint_position: Independent joints [rad or m], shape [B, J].
        contact_index: Active contact candidates, shape [B, C].

    Returns:
        Weighted total, shape [B], of ``problem.terms``. The gradient of a quaternion is orthogonal to it: its length does
        not matter.

    Raises:
        ValueError: Shapes that do not fit the problem, or a quaternion without length.
    """
    _check_shapes(problem, root_pose, joint_position, contact_index)
    quaternion = root_pose[:, 3:]
    length = torch.linalg.vector_norm(quaternion, dim=1, keepdim=True)
    unusable = torch.nonzero(~((length > 1.0e-6) & torch.isfinite(length))[:, 0])
    if len(unusable):
        index = int(unusable[0])
        raise ValueError(
            f"root_pose must hold finite quaternions that can be normalised (got {quaternion[index].tolist()} "
            f"for grasp {index}); start from a unit quaternion"
        )
    normalized = torch.cat([root_pose[:, :3], quaternion / length], dim=1)
    return _GraspEnergy.apply(problem, normalized, joint_position, contact_index)


class ObjectSurfaces:
    """Signed distances to objects for torch points, by the synthesis' own search (exact, any mesh)."""

    def __init__(self, models: Sequence[ObjectModel], device: torch.device | str) -> None:
        wp.init()  # Warp's devices are unknown before
        self._device = wp.device_from_torch(torch.device(device))
        self._meshes: MeshSet
        self._meshes, self._owner = mesh_set(models, self._device)

    def closest(
        self, points: torch.Tensor, object_index: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Closest surface point, outward normal and signed distance (negative inside) of every query point.

        Args:
            points: Query points [m], object frame, shape [N, 3].
            object_index: Object of each point, shape [N].

        Returns:
            Points [N, 3], normals [N, 3] and distances [N]; constants for autograd.
        """
        points = points.detach().contiguous()
        closest, normal = torch.empty_like(points), torch.empty_like(points)
        distance = torch.empty(len(points), dtype=torch.float32, device=points.device)
        with _stream(points):
            launch_signed_distance(
                self._meshes,
                _array(object_index.to(torch.int32).contiguous()),
                _array(points, wp.vec3),
                distance=_array(distance),
                normal=_array(normal, wp.vec3),
                closest=_array(closest, wp.vec3),
            )
        return closest, normal, distance


class _Taped(torch.autograd.Function):
    """A taped launch over vector arrays [B, C, 3] that adds up an energy [B]."""

    @staticmethod
    def forward(ctx: Any, launch: Callable[..., None], *tensors: torch.Tensor) -> torch.Tensor:
        wanted = [tensor.requires_grad for tensor in tensors]
        arrays = [_vectors(tensor, grad) for tensor, grad in zip(tensors, wanted, strict=True)]
        energy = torch.zeros(len(tensors[0]), dtype=torch.float32, device=tensors[0].device)
        result = _array(energy, requires_grad=any(wanted))
        ctx.tape = wp.Tape() if any(wanted) else None
        with _stream(energy):
            if ctx.tape is None:
                launch(*arrays, result)
            else:
                with ctx.tape:
                    launch(*arrays, result)
        ctx.arrays, ctx.result, ctx.wanted = arrays, result, wanted
        return energy

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        gradient = gradients[0].contiguous()
        with _stream(gradient):
            ctx.tape.zero()
            ctx.tape.backward(grads={ctx.result: _array(gradient)})
            results = [
                wp.to_torch(array.grad).clone() if wanted else None
                for array, wanted in zip(ctx.arrays, ctx.wanted, strict=True)
            ]
        return None, *results


class _GraspEnergy(torch.autograd.Function):
    """The fused evaluation of a problem; its hand-derived gradient is the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        problem: GraspProblem,
        root_pose: torch.Tensor,
        joint_position: torch.Tensor,
        contact_index: torch.Tensor,
    ) -> torch.Tensor:
        with _stream(root_pose):
            state = problem.create_state()
            state.root_pose = _array(_ready(root_pose), wp.transform)
            state.joint_position = _array(_ready(joint_position))
            state.contact_index = _array(contact_index.to(torch.int32).contiguous())
            problem.evaluate(state)
            energy, gradient = wp.to_torch(state.energy).clone(), wp.to_torch(state.gradient).clone()
        ctx.save_for_backward(root_pose.detach(), gradient)
        return energy

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        root_pose, gradient = ctx.saved_tensors
        gradient = gradient * gradients[0][:, None]
        quaternion = _quaternion_gradient(root_pose[:, 3:], gradient[:, 3:6])
        return None, torch.cat([gradient[:, :3], quaternion], dim=1), gradient[:, 6:], None


def _quaternion_gradient(quaternion: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Gradient in quaternion components xyzw from that in the rotation vector of the hand frame.

    ``dq = q * (w, 0) / 2``, whose columns are orthogonal, so the tangent gradient is twice the same product.
    """
    axis, scalar = quaternion[:, :3], quaternion[:, 3:]
    vector = scalar * rotation + torch.cross(axis, rotation, dim=1)
    return 2.0 * torch.cat([vector, -(axis * rotation).sum(dim=1, keepdim=True)], dim=1)


def _check_shapes(
    problem: GraspProblem, root_pose: torch.Tensor, joint_position: torch.Tensor, contact_index: torch.Tensor
) -> None:
    shapes = {
        "root_pose": (root_pose, (problem.batch_size, 7)),
        "joint_position": (joint_position, (problem.batch_size, len(problem.hand.joint_names))),
        "contact_index": (contact_index, (problem.batch_size, problem.contact_count)),
    }
    for name, (value, shape) in shapes.items():
        if tuple(value.shape) != shape:
            raise ValueError(f"{name} must have shape {shape} (got {tuple(value.shape)})")


def _check(name: str, value: torch.Tensor, dimension: int) -> None:
    if value.dim() != dimension or value.shape[-1] != 3 or value.dtype != torch.float32:
        shape = "[B, C, 3]" if dimension == 3 else "[O, 3]"
        raise ValueError(f"{name} must be float32 of shape {shape} (got {value.dtype}, {tuple(value.shape)})")


def _ready(value: torch.Tensor) -> torch.Tensor:
    """A tensor Warp can read in place; only one that is not contiguous float32 is copied."""
    return value.detach().to(torch.float32).contiguous()


def _array(value: torch.Tensor, dtype: Any = None, requires_grad: bool = False) -> Any:
    """A Warp array on the memory of a contiguous tensor."""
    wp.init()  # Warp's devices are unknown before
    return wp.from_torch(value, dtype=dtype, requires_grad=requires_grad)


def _vectors(value: torch.Tensor, requires_grad: bool = False) -> wp.array:
    vectors: wp.array = _array(_ready(value), wp.vec3, requires_grad)
    return vectors


def _stream(value: torch.Tensor) -> Any:
    """Warp launches on the stream torch works on; the CPU has none."""
    stream = wp.stream_from_torch(value.device) if value.is_cuda else None
    return wp.ScopedStream(stream)
