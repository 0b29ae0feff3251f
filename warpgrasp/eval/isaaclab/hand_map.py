"""How a hand model stands to another asset of the same hand: joint names, signs and the frame of the root.

Grasps are of a hand model of this package. An asset from elsewhere, on an arm for example, calls its joints otherwise,
turns some the other way and has its frames elsewhere. A map is made by name, or fitted: both hands are moved and
links that are the same are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.eval.isaaclab.assets import driven_joint_names
from warpgrasp.hands.model import HandModel

__all__ = ["HandMap", "fit_hand_map", "map_by_name"]

_STEP = 0.15  # rad or m, by which a joint is moved to see which way it turns
_LEVER = 0.05  # m, at which a turn counts as a distance
_SEEN = 1.0e-4  # m, less is no motion
_POSES = 16  # random joint positions at which a fit is checked


@dataclass(frozen=True)
class HandMap:
    """An asset's joints and frame for a hand model: the asset's value is ``sign * value + offset``."""

    joint_names: tuple[str, ...]
    """Joints of the asset in the order of the model's degrees of freedom."""
    link: str
    """Body of the asset that carries the hand."""
    sign: tuple[float, ...]
    offset: tuple[float, ...]
    """[rad or m]."""
    pose: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    """The model's root in the frame of ``link``: position [m] and quaternion xyzw."""

    def __post_init__(self) -> None:
        counts = {len(self.joint_names), len(self.sign), len(self.offset)}
        if len(counts) != 1 or len(self.pose) != 7:
            raise ValueError(
                f"joint_names, sign and offset must have one entry per joint and pose seven (got "
                f"{len(self.joint_names)}, {len(self.sign)}, {len(self.offset)} and {len(self.pose)})"
            )


def map_by_name(
    hand: HandModel, available: Sequence[str], *, link: str, names: Mapping[str, str] | None = None
) -> HandMap:
    """The map of an asset that has the model's joints and whose body ``link`` is the model's root.

    Args:
        hand: The hand model.
        available: Joint names of the asset.
        link: Body of the asset that is the root of the model.
        names: The model's joint names (vendor names) -> the asset's, where they differ.

    Raises:
        ValueError: The asset lacks a joint; the sentence names what it has.
    """
    chosen, missing = [], []
    for vendor, prim in zip(hand.joint_names, driven_joint_names(hand), strict=True):
        wanted = [(names or {}).get(vendor, vendor), prim]
        found = next((name for name in wanted if name in available), None)
        chosen.append(found or "")
        if found is None:
            missing.append(wanted[0])
    if missing:
        raise ValueError(
            f"the asset lacks the joints {', '.join(missing)} of hand {hand.name!r}; say what it calls them (names), it "
            f"has {', '.join(available)}"
        )
    count = hand.dof_count
    return HandMap(tuple(chosen), link, (1.0,) * count, (0.0,) * count)


def fit_hand_map(
    hand: HandModel,
    joint_names: Sequence[str],
    link: str,
    poses: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    links: Sequence[str],
    *,
    tolerance: float = 0.003,
) -> HandMap:
    """Find signs and frame by forward kinematics; zero must be the same posture in both (offsets are not fitted).

    Origins of links are compared, and how links have turned since the posture at zero: their own axes may differ.

    Args:
        hand: The hand model.
        joint_names: The asset's joints in the order of the model's degrees of freedom.
        link: Body of the asset that carries the hand.
        poses: Joints of the asset [J], in this order, -> its bodies in the frame of ``link``: position [m] and quaternion
            xyzw, shape [K, 7].
        links: Links of the model that are these K bodies; at least three, and one below every joint.
        tolerance: Largest distance between links at random joint positions [m]; a turn counts on a lever of 5 cm.

    Raises:
        ValueError: Links stay further apart than that (the kinematics, the zero posture or the names differ), or no link
            lies below a joint.
    """
    fit = _Fit(hand, links, poses)
    sign = fit.signs(joint_names)
    rng = np.random.default_rng(0)
    worst = max(fit.error(sign, rng.uniform(hand.dof_lower, hand.dof_upper)) for _ in range(_POSES))
    if worst > tolerance:
        raise ValueError(
            f"the links of the asset are up to {1e3 * worst:.1f} mm from those of hand {hand.name!r}, more than "
            f"{1e3 * tolerance:g} mm: compare the order of joint_names and links, and the posture at zero"
        )
    pose = (*map(float, fit.way), *map(float, fit.turn.as_quat()))
    return HandMap(tuple(joint_names), link, tuple(sign.tolist()), (0.0,) * hand.dof_count, pose)


class _Fit:
    """The rigid motion from the model's root to the asset's link, from both hands at zero."""

    def __init__(
        self,
        hand: HandModel,
        links: Sequence[str],
        poses: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    ) -> None:
        self.hand, self._poses = hand, poses
        self._index = [hand.link_index(name) for name in links]
        first, own = self._own(np.zeros(hand.dof_count))
        second, other = self._other(np.zeros(hand.dof_count))
        self.turn, _ = Rotation.align_vectors(second - second.mean(axis=0), first - first.mean(axis=0))
        self.way = second.mean(axis=0) - self.turn.apply(first.mean(axis=0))
        self._axes = (self.turn * own).inv() * other  # of the asset's bodies in the model's links

    def _own(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], Rotation]:
        identity = np.array([0.0, 0.0, 0.0, 1.0])
        position, quaternion = self.hand.forward_kinematics(np.zeros(3), identity, values)
        return position[self._index], Rotation.from_quat(quaternion[self._index])

    def _other(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], Rotation]:
        pose = np.asarray(self._poses(values), dtype=np.float64)
        return pose[:, :3], Rotation.from_quat(pose[:, 3:])

    def error(self, sign: NDArray[np.float64], values: NDArray[np.float64]) -> float:
        """Largest distance [m] between links when the model has the joints ``values``."""
        position, own = self._own(values)
        other_position, other = self._other(sign * values)
        apart = np.linalg.norm(self.turn.apply(position) + self.way - other_position, axis=1)
        angle = (self.turn * own * self._axes * other.inv()).magnitude()
        return float((apart + _LEVER * angle).max())

    def signs(self, joint_names: Sequence[str]) -> NDArray[np.float64]:
        """The sign of every joint, moved alone."""
        count = self.hand.dof_count
        sign, unknown = np.ones(count), []
        for dof in range(count):
            step = np.zeros(count)
            step[dof] = _STEP
            errors = []
            for side in (1.0, -1.0):
                sign[dof] = side
                errors.append(self.error(sign, step))
            sign[dof] = 1.0 if errors[0] <= errors[1] else -1.0
            if max(errors) < _SEEN:
                unknown.append(joint_names[dof])
        if unknown:
            raise ValueError(
                f"no link moves with the joints {', '.join(unknown)}; name one below each (links)"
            )
        return sign
