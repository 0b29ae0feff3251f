"""How likely a grasp holds, told from the columns of its file: what the column ``quality`` is and what orders grasps.

The estimate is a logistic regression on a few numbers that say where grasps fail: how far the contacts are from the object, how
well the contacts that press resist every wrench, how wide they are apart, how hard one must press, and the energy.
``benchmarks/success_estimate.py`` fits it to verdicts of a simulation on the tuning objects and tells how well it ranks grasps
of other objects.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from warpgrasp.grasps.grasp_set import GraspSet

__all__ = ["FEATURES", "estimate_features", "success_estimate", "with_estimate"]

FloatArray = NDArray[np.float64]

_LEAST_ENERGY = 0.01
_RADIUS = 0.04  # m, at which a torque counts as a force
FEATURES = ("gap", "weakest_wrench", "largest_force", "thickness", "energy")
"""Names of what the estimate looks at, see :func:`estimate_features`."""
_MEAN = np.array([-1.991, -1.418, 2.728, -2.049, 1.079])
_SPREAD = np.array([0.2044, 0.6686, 0.6168, 0.2467, 0.6936])
_WEIGHT = np.array([-0.6331, 0.1135, -0.3693, 0.1004, -0.8355])
_BIAS = 2.585


def estimate_features(grasps: GraspSet) -> FloatArray:
    """What the estimate looks at, shape [N, 5]; NaN where a file does not say.

    ``gap``: logarithm of the energy term ``distance``. ``weakest_wrench``: logarithm of the least singular value of the grasp
    map of unit normals, each weighted by the root of its share of the forces, torques divided by 4 cm.
    ``largest_force``: logarithm of the largest contact force [N]. ``thickness``: logarithm of the least spread of the pressing
    contacts over a direction [m]. ``energy``: logarithm of the total energy.
    """
    force = np.linalg.norm(grasps.contact_force.astype(np.float64), axis=2)
    share = force / np.maximum(force.sum(axis=1, keepdims=True), 1.0e-9)
    root = np.sqrt(share)[:, :, None]
    point = grasps.contact_position.astype(np.float64)
    arm = point - np.sum(share[:, :, None] * point, axis=1, keepdims=True)
    normal = grasps.contact_normal.astype(np.float64)
    wrench = np.concatenate([normal, np.cross(arm, normal) / _RADIUS], axis=2)
    gap = np.full(len(grasps), np.nan)
    if "distance" in grasps.energy_term_names:
        gap = grasps.energy_terms[:, grasps.energy_term_names.index("distance")].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.stack(
            [
                np.log10(np.maximum(gap, 0.0) + 1.0e-3),
                np.log10(_least_singular_value(root * wrench) + 1.0e-4),
                np.log(force.max(axis=1, initial=0.0) + 1.0e-3),
                np.log10(_least_singular_value(root * arm) + 1.0e-4),
                np.log(np.maximum(grasps.energy.astype(np.float64), _LEAST_ENERGY)),
            ],
            axis=1,
        )


def success_estimate(grasps: GraspSet) -> FloatArray:
    """Estimated probability of each grasp to hold in ``dexgraspbench``, all directions, shape [N]; NaN where nothing tells."""
    scaled = (estimate_features(grasps) - _MEAN) / _SPREAD
    return np.asarray(1.0 / (1.0 + np.exp(-(_BIAS + scaled @ _WEIGHT))))


def with_estimate(grasps: GraspSet) -> GraspSet:
    """The grasps with :func:`success_estimate` as their column ``quality``."""
    return dataclasses.replace(grasps, quality=success_estimate(grasps).astype(np.float32))


def _least_singular_value(matrices: FloatArray) -> FloatArray:
    """Least singular value of N matrices, NaN where one is not finite."""
    finite = np.isfinite(matrices).all(axis=(1, 2))
    value = np.full(len(matrices), np.nan)
    rank = min(matrices.shape[1:])
    if finite.any() and rank > 0:
        value[finite] = np.linalg.svd(matrices[finite], compute_uv=False)[:, -1]
    return value
