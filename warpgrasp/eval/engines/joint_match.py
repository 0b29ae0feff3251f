"""Which joint of another model of a hand is which joint here, and where that model's base lies: found from the joint axes.

Names say nothing reliable: one vendor's ``FFJ4`` is ``rh_FFJ4`` in a second file and ``joint_0.0`` is ``ffj0`` in a third. What
two models of one hand share is the tree of their joints and where the axes of these joints lie in space. Both trees are matched
in every way that keeps parents and children, and the way counts in which a rigid motion brings all axes together. Axes
are lines: where along them a file puts its frames does not matter, nor which way it counts.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

__all__ = ["JointAxes", "JointMatch", "match_joints"]

FloatArray = NDArray[np.float64]
Tree = tuple["Tree", ...]

_LEVER = 0.05  # m, at which a turn counts as a distance
_MATCHES = 5000  # ways to match two trees that are looked at
_POSES = 8  # random joint positions at which a match is checked
_LOOKED_AT = 4  # of the best rotations of a match


@dataclass(frozen=True, eq=False)
class JointAxes:
    """The moving joints of a hand as a tree of axes."""

    parent: Sequence[int]
    """The nearest moving joint above each, shape [M], -1 without one."""
    sliding: NDArray[np.bool_]
    """Whether a joint slides, shape [M]."""
    lines: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    """Joint values [M] -> a point on every axis [m] and its direction, both of shape [M, 3], in the frame of the base."""

    def children(self, joint: int) -> list[int]:
        """The moving joints next below ``joint``, -1 for those with none above."""
        return [index for index, parent in enumerate(self.parent) if parent == joint]

    def shape(self, joint: int) -> Tree:
        """The tree below ``joint``, the same for trees that differ only in the order of branches."""
        return tuple(sorted(self.shape(child) for child in self.children(joint)))


@dataclass(frozen=True, eq=False)
class JointMatch:
    """How the joints of two models of a hand correspond: ``other[joint[i]] = sign[i] * own[i]``."""

    joint: NDArray[np.int64]
    """Joint of the other model for each of the own, shape [M]."""
    sign: FloatArray
    """Which way it turns, shape [M]."""
    position: FloatArray
    quaternion: FloatArray
    """The own base in the frame of the other's: position [m] and xyzw."""
    error: float
    """Largest distance between axes at random joint positions [m]; a turn counts on a lever of 5 cm."""


def match_joints(own: JointAxes, other: JointAxes, low: FloatArray, high: FloatArray) -> JointMatch | None:
    """The match of least error, or None when no part of the other tree has the same branches.

    Args:
        own: The hand.
        other: The other model; joints above and beside the hand's stay at zero.
        low: Least values of the own joints, shape [M].
        high: Largest values of the own joints, shape [M].
    """
    rng = np.random.default_rng(0)
    poses = [np.zeros(len(low)), *(rng.uniform(low, high) for _ in range(_POSES))]
    starts = []
    for joint in itertools.islice(_isomorphisms(own, other), _MATCHES):
        lines = _at(own, other, np.array(joint), poses[0], 1.0)
        starts += [(cost, turn, way, np.array(joint)) for cost, turn, way in lines.coarse()]
    starts.sort(key=lambda entry: entry[0])
    found = [_fitted(own, other, joint, turn, way, poses) for _, turn, way, joint in starts[:_LOOKED_AT]]
    return min(found, key=lambda match: match.error, default=None)


def _isomorphisms(own: JointAxes, other: JointAxes) -> Iterator[list[int]]:
    """All ways to lay the own tree onto the tree below a joint of the other, as the other's joint of every own joint."""
    shape = own.shape(-1)
    for top in range(-1, len(other.parent)):
        if other.shape(top) == shape:
            for pairs in _laid(own, other, -1, top):
                table = dict(pairs)
                joints = [table[index] for index in range(len(own.parent))]
                if (own.sliding == other.sliding[joints]).all():
                    yield joints


def _laid(own: JointAxes, other: JointAxes, mine: int, theirs: int) -> Iterator[list[tuple[int, int]]]:
    """Pairs of joints below two that correspond."""
    first, second = own.children(mine), other.children(theirs)
    for order in itertools.permutations(second):
        if any(own.shape(a) != other.shape(b) for a, b in zip(first, order, strict=True)):
            continue
        below = [list(_laid(own, other, a, b)) for a, b in zip(first, order, strict=True)]
        for chosen in itertools.product(*below):
            yield [*zip(first, order, strict=True), *itertools.chain.from_iterable(chosen)]


def _fitted(
    own: JointAxes,
    other: JointAxes,
    joint: NDArray[np.int64],
    turn: Rotation,
    way: FloatArray,
    poses: Sequence[FloatArray],
) -> JointMatch:
    """The rigid motion and the signs that bring the axes at zero together, and how far they are apart elsewhere."""
    at_zero = _at(own, other, joint, poses[0], 1.0)
    turn, way = at_zero.refined(turn, way)
    sign = at_zero.signs(turn)
    error = 0.0
    for pose in poses:
        apart = _at(own, other, joint, pose, sign).residual(turn, way, sign).reshape(-1, 3)
        error = max(error, float(np.linalg.norm(apart, axis=1).max(initial=0.0)))
    return JointMatch(joint, sign, way, turn.as_quat(), error)


def _at(
    own: JointAxes, other: JointAxes, joint: NDArray[np.int64], pose: FloatArray, sign: FloatArray | float
) -> _Lines:
    """Axes of corresponding joints at own joint values ``pose``."""
    values = np.zeros(len(other.parent))
    values[joint] = sign * pose
    points, axes = own.lines(pose)
    other_points, other_axes = other.lines(values)
    parallel = np.abs(axes @ axes[0]).min(initial=1.0) > 0.999
    return _Lines(points, axes, other_points[joint], other_axes[joint], own.sliding | parallel)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Two sets of M lines that correspond, points [m] and directions of shape [M, 3]."""

    points: FloatArray
    axes: FloatArray
    other_points: FloatArray
    other_axes: FloatArray
    points_count: NDArray[np.bool_]
    """Where a line alone leaves the motion open and the points on it must meet: joints that slide, axes all parallel."""

    def signs(self, turn: Rotation) -> FloatArray:
        """Which way the other lines point, shape [M]."""
        return np.where(np.sum(turn.apply(self.axes) * self.other_axes, axis=1) < 0.0, -1.0, 1.0)

    def residual(self, turn: Rotation, way: FloatArray, sign: FloatArray) -> FloatArray:
        """Distances of lines, and of their directions on a lever [m], shape [6 M]."""
        apart = turn.apply(self.points) + way - self.other_points
        distance = np.einsum("mij,mj->mi", self._across(), apart)
        direction = turn.apply(self.axes) - sign[:, None] * self.other_axes
        return np.concatenate([distance, _LEVER * direction]).ravel()

    def coarse(self) -> list[tuple[float, Rotation, FloatArray]]:
        """Rotations and translations that come near, whichever way the lines point, with what they cost; best first."""
        scored = []
        for start in Rotation.create_group("O"):
            # Axes that are all parallel leave a turn about them open, which only where they lie can tell: keep the start too.
            for turn in (self._aligned(start), start):
                way = self._translation(turn)
                cost = float(np.sum(self.residual(turn, way, self.signs(turn)) ** 2))
                scored.append((cost, turn, way))
        scored.sort(key=lambda entry: entry[0])
        return scored[:_LOOKED_AT]

    def _aligned(self, turn: Rotation) -> Rotation:
        """The rotation that aligns the directions, the signs those of the rotation before."""
        for _ in range(10):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # parallel axes leave a turn open
                better, _ = Rotation.align_vectors(self.signs(turn)[:, None] * self.other_axes, self.axes)
            if (better * turn.inv()).magnitude() < 1.0e-9:
                break
            turn = better
        return turn

    def refined(self, turn: Rotation, way: FloatArray) -> tuple[Rotation, FloatArray]:
        """The least-squares rotation and translation near given ones."""
        sign = self.signs(turn)

        def moved(unknown: FloatArray) -> tuple[Rotation, FloatArray]:
            return Rotation.from_rotvec(unknown[:3]) * turn, way + unknown[3:]

        def residual(unknown: FloatArray) -> FloatArray:
            return self.residual(*moved(unknown), sign)

        found = least_squares(residual, np.zeros(6))
        return moved(found.x)

    def _translation(self, turn: Rotation) -> FloatArray:
        """Least-squares translation that brings the turned points onto the other lines."""
        across = self._across()
        apart = np.einsum("mij,mj->mi", across, self.other_points - turn.apply(self.points))
        solution: FloatArray = np.linalg.lstsq(across.reshape(-1, 3), apart.ravel(), rcond=None)[0]
        return solution

    def _across(self) -> FloatArray:
        """What counts of a distance, shape [M, 3, 3]: the part across the line, or all of it."""
        keep = np.where(self.points_count, 0.0, 1.0)[:, None, None]
        return np.asarray(np.eye(3) - keep * self.other_axes[:, :, None] * self.other_axes[:, None, :])
