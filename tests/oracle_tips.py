"""Float64 NumPy oracle of the fingertip terms: task wrenches by least-distance programming, and distances of tips and spheres.

The program of the forces is turned into non-negative least squares (Lawson and Hanson 1974, LSI and LDP), which shares nothing
with the dual Newton method of the kernels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from oracle import PosedHand
from oracle_geometry import closest_on_mesh
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

from warpgrasp.hands.fingertips import TipModel
from warpgrasp.objects import ObjectModel

__all__ = ["TipOracle", "friction_edges", "solve_task_forces"]

FloatArray = NDArray[np.float64]
EDGES = 8


def solve_task_forces(
    wrench: FloatArray,
    target: FloatArray,
    member: FloatArray,
    minimum: FloatArray,
    *,
    lower: float,
    upper: float,
    ridge: float,
    edge_ridge: float,
) -> FloatArray:
    """Edge forces that minimise ``|t - W a|^2 + ridge sum s^2 + edge_ridge |a|^2`` within the limits, shape [C * 8]."""
    count = wrench.shape[1] // EDGES
    total = np.kron(np.eye(count), np.ones(EDGES))
    matrix = np.vstack([wrench, np.sqrt(ridge) * total, np.sqrt(edge_ridge) * np.eye(count * EDGES)])
    right = np.concatenate([target, np.zeros(count + count * EDGES)])
    left = np.vstack([np.eye(count * EDGES), total, -total, member @ total])
    bound = np.concatenate([np.zeros(count * EDGES), np.full(count, lower), np.full(count, -upper), minimum])
    q, r = np.linalg.qr(matrix)
    inverse = np.linalg.inv(r)
    shift = q.T @ right
    distance = np.vstack([(left @ inverse).T, bound - left @ inverse @ shift])
    goal = np.append(np.zeros(count * EDGES), 1.0)
    multiplier, _ = nnls(distance, goal, maxiter=100 * len(bound))
    rest = distance @ multiplier - goal
    solution: FloatArray = inverse @ (shift - rest[:-1] / rest[-1])
    return solution


def friction_edges(inward: FloatArray, first: FloatArray, friction: float) -> FloatArray:
    """Unit edge forces [8, 3] of a contact whose first tangent is ``first``."""
    second = np.cross(inward, first)
    angle = 2.0 * np.pi * np.arange(EDGES)[:, None] / EDGES
    return np.asarray(inward + friction * (np.cos(angle) * first + np.sin(angle) * second))


class TipOracle:
    """Fingertips of one posed hand; closest features and their linear fits are frozen at the base pose."""

    def __init__(self, tips: TipModel, model: ObjectModel, base: PosedHand) -> None:
        self.tips, self.model = tips, model
        self.base = self.centers(base)
        closest = [closest_on_mesh(model, center) for center in self.base]
        self.point = np.array([point for point, _ in closest])
        self.distance = np.array([d for _, d in closest])
        self.normal = (self.base - self.point) / self.distance[:, None]

    def centers(self, posed: PosedHand) -> FloatArray:
        """Centres of the tips' spheres [F, 3]."""
        link = self.tips.link
        return np.asarray(
            posed.link_position[link] + np.einsum("fij,fj->fi", posed.link_rotation[link], self.tips.center)
        )

    def gaps(self, posed: PosedHand) -> FloatArray:
        """Signed distances of the spheres along the frozen normals [F]."""
        moved = np.einsum("fi,fi->f", self.normal, self.centers(posed) - self.point)
        return np.asarray(moved - self.tips.radius)

    def fits(self, offset: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Jacobians [F, 3, 3] of closest point and normal, fitted by least squares to the features at the offsets."""
        jacobians = []
        for tip, center in enumerate(self.base):
            changes = []
            for way in offset:
                point, distance = closest_on_mesh(self.model, center + way)
                normal = (center + way - point) / distance
                changes.append(np.concatenate([point - self.point[tip], normal - self.normal[tip]]))
            fit, *_ = np.linalg.lstsq(offset, np.array(changes), rcond=None)
            jacobians.append(fit.T)
        both = np.array(jacobians)
        return both[:, :3], both[:, 3:]

    def edge_wrenches(
        self,
        posed: PosedHand,
        fits: tuple[FloatArray, FloatArray],
        first: FloatArray,
        friction: float,
        radius: float,
    ) -> FloatArray:
        """Wrenches [6, F * 8] with point and normal moved by their fits; the frame turns with the normal, not about it."""
        way = self.centers(posed) - self.base
        columns = []
        for tip in range(len(self.base)):
            normal = self.normal[tip]
            change = fits[1][tip] @ way[tip]
            change = change - normal * (normal @ change)
            turn = Rotation.from_rotvec(np.cross(normal, change))
            edges = turn.apply(friction_edges(-normal, first[tip], friction))
            arm = (self.point[tip] + fits[0][tip] @ way[tip] - self.model.center_of_mass) / radius
            columns.append(np.concatenate([edges, np.cross(arm, edges)], axis=1))
        return np.concatenate(columns).T
