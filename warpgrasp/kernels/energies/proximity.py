"""Distances to keep, as smooth hinges: spheres of the hand to the object, joints to their limits.

With x how far a sphere reaches into a shell of thickness eta around the object, the hinge is ``x^2 / (2 eta)`` within the shell
and ``x - eta / 2`` beyond it: its slope grows to one on the way through the shell and stays there (Zucker et al. 2013, CHOMP).
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.distance_bound import DistanceBound, largest_distance, surely_farther
from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.kinematics import KinematicTree
from warpgrasp.kernels.mesh_distance import MeshSet, query_closest_feature
from warpgrasp.kernels.spatial import vec6

__all__ = ["joint_margin_kernel", "joint_middle_kernel", "sphere_proximity_kernel"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def sphere_proximity_kernel(
    spheres: HandSpheres,
    shell: wp.array(dtype=wp.float32),  # [S]
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Sum of the hinges of all spheres [m], shell thickness of each in ``shell`` [m], and its weighted link wrenches."""
    grasp = wp.tid()
    obj = object_index[grasp]
    total = float(0.0)
    for sphere in range(spheres.link.shape[0]):
        link = spheres.link[sphere]
        center = wp.transform_point(link_pose[grasp, link], spheres.position[sphere])
        eta = shell[sphere]
        reach = spheres.radius[sphere] + eta
        if not surely_farther(bound, obj, center, reach):
            feature = query_closest_feature(meshes, obj, center, largest_distance(bound, obj, center))
            depth = reach - feature.distance
            if depth > 0.0:
                slope = float(1.0)
                if depth < eta:
                    total += 0.5 * depth * depth / eta
                    slope = depth / eta
                else:
                    total += depth - 0.5 * eta
                zero = wp.vec3(0.0, 0.0, 0.0)
                add_point_force(link_wrench, grasp, link, center, (-weight * slope) * feature.normal, zero)
    energy[grasp] = total


@wp.kernel
def joint_margin_kernel(
    tree: KinematicTree,
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    share: float,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    joint_force: wp.array2d(dtype=wp.float32),  # [B, J]
):
    """``sum x^2``, x how far a joint is in the outer ``share`` of its range [rad or m]; its weighted derivative is added."""
    grasp = wp.tid()
    total = float(0.0)
    for dof in range(joint_position.shape[1]):
        lower = tree.dof_lower[dof]
        upper = tree.dof_upper[dof]
        q = joint_position[grasp, dof]
        margin = share * (upper - lower)
        below = wp.max(lower + margin - q, 0.0)
        above = wp.max(q - upper + margin, 0.0)
        if upper > lower:
            total += below * below + above * above
            joint_force[grasp, dof] = joint_force[grasp, dof] + 2.0 * weight * (above - below)
    energy[grasp] = total


@wp.kernel
def joint_middle_kernel(
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    reference: wp.array(dtype=wp.float32),  # [J]
    squared: int,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    joint_force: wp.array2d(dtype=wp.float32),  # [B, J]
):
    """``sum |q - q_ref|`` or ``sum (q - q_ref)^2`` [rad or m]; its weighted derivative is added to ``joint_force``."""
    grasp = wp.tid()
    total = float(0.0)
    for dof in range(joint_position.shape[1]):
        way = joint_position[grasp, dof] - reference[dof]
        if squared != 0:
            total += way * way
            joint_force[grasp, dof] = joint_force[grasp, dof] + 2.0 * weight * way
        else:
            total += wp.abs(way)
            joint_force[grasp, dof] = joint_force[grasp, dof] + weight * wp.sign(way)
    energy[grasp] = total
