"""What the hand is told to do: start, grasp and squeeze targets of a protocol, from a grasp set and a squeeze rule."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import mirrored_rotation
from warpgrasp.hands.model import JointType
from warpgrasp.synthesis.squeeze import bounded_torque

if TYPE_CHECKING:
    from warpgrasp.grasps.grasp_set import GraspSet
    from warpgrasp.hands.model import HandModel

__all__ = ["HandTargets", "SqueezeRule", "hand_targets", "squeeze_torques"]

FloatArray = NDArray[np.float64]


class SqueezeRule(enum.Enum):
    """Where the squeeze targets come from."""

    TORQUE = "torque"
    """The joint torques of the file's squeeze through the drives of the protocol. A joint that presses at its limit aims
    further (0.1 rad or 1 cm): the drive's bound keeps the torque, and a gap that a stiff drive would leave open is closed."""
    POSITION = "position"
    """The file's squeeze positions as they are, whatever the stiffness of the protocol's drives."""
    EXTRAPOLATE = "extrapolate"
    """``2 x - x_pregrasp`` of root and joints (Chen et al. 2025)."""
    EXTRAPOLATE_JOINTS = "extrapolate-joints"
    """``2 q - q_pregrasp``, the root stays (Chen et al. 2025, published code)."""


@dataclass(frozen=True, eq=False)
class HandTargets:
    """Root poses and joints of N grasps at three times, object frame, float64."""

    pregrasp_position: FloatArray  #: [N, 3] m
    pregrasp_quaternion: FloatArray  #: [N, 4] xyzw
    pregrasp_joints: FloatArray  #: [N, J] rad or m
    grasp_position: FloatArray
    grasp_quaternion: FloatArray
    grasp_joints: FloatArray
    squeeze_position: FloatArray
    squeeze_quaternion: FloatArray
    squeeze_joints: FloatArray

    def __len__(self) -> int:
        """Number of grasps."""
        return len(self.grasp_position)

    def select(self, index: NDArray[np.int64] | slice) -> HandTargets:
        """Some of the grasps."""
        return HandTargets(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def valid(self) -> NDArray[np.bool_]:
        """Whether all numbers are finite and all quaternions have unit length, shape [N]."""
        finite = np.ones(len(self), dtype=bool)
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            finite &= np.isfinite(value).all(axis=1)
            if name.endswith("quaternion"):
                with np.errstate(invalid="ignore", over="ignore"):
                    finite &= np.abs(np.linalg.norm(value, axis=1) - 1.0) < 1.0e-3
        return finite


def hand_targets(
    hand: HandModel,
    grasps: GraspSet,
    *,
    stiffness: FloatArray,
    rule: SqueezeRule = SqueezeRule.TORQUE,
    squeeze_effort: float | None = None,
    effort: FloatArray | None = None,
) -> HandTargets:
    """Targets of every grasp of a set.

    Args:
        hand: The hand of the grasps.
        grasps: The grasps.
        stiffness: Stiffness of every degree of freedom under the protocol [Nm/rad or N/m], shape [J].
        rule: Squeeze rule.
        squeeze_effort: With ``TORQUE``: rescale the torques so that the largest is this fraction of its limit; above 1
            every joint is bounded by its limit.
        effort: Effort limits under the protocol [Nm or N], shape [J]; the hand's own by default.

    Raises:
        ValueError: The grasps have other joints than the hand.
    """
    if grasps.joint_names != hand.joint_names:
        raise ValueError(
            f"the grasps have the joints {', '.join(grasps.joint_names)}, hand {hand.name!r} has "
            f"{', '.join(hand.joint_names)}"
        )
    names = ("root_position", "root_quaternion", "joint_position")
    grasp, opened, squeeze = (
        [np.asarray(getattr(grasps, prefix + name), dtype=np.float64) for name in names]
        for prefix in ("", "pregrasp_", "squeeze_")
    )
    if rule == SqueezeRule.TORQUE:
        limit = hand.dof_effort if effort is None else effort
        torque = squeeze_torques(hand, grasps)
        if squeeze_effort is not None:
            torque = bounded_torque(torque, limit, squeeze_effort)
        squeeze[2] = grasp[2] + torque / stiffness + _reach(hand) * _at_limit(torque, limit)
    elif rule in (SqueezeRule.EXTRAPOLATE, SqueezeRule.EXTRAPOLATE_JOINTS):
        squeeze = [*grasp[:2], 2.0 * grasp[2] - opened[2]]
        if rule == SqueezeRule.EXTRAPOLATE:
            squeeze[0] = 2.0 * grasp[0] - opened[0]
            squeeze[1] = np.array([mirrored_rotation(a, b) for a, b in zip(grasp[1], opened[1], strict=True)])
    grasp[0] = np.where(grasps.finite()[:, None], grasp[0], np.nan)  # a grasp with any other NaN is not valid
    return HandTargets(*opened, *grasp, *squeeze)


def squeeze_torques(hand: HandModel, grasps: GraspSet) -> FloatArray:
    """Joint torques of the squeeze [Nm or N], shape [N, J].

    Files of older versions hold positions only, made for the hand asset's stiffness: ``kp (q_squeeze - q)``.
    """
    way = grasps.squeeze_joint_position.astype(np.float64) - grasps.joint_position.astype(np.float64)
    told = grasps.squeeze_torque.astype(np.float64)
    return np.where(np.isnan(told), hand.dof_stiffness * way, told)


def _reach(hand: HandModel) -> FloatArray:
    """How much further joints at their limit aim [rad or m], shape [J]; measured: ``docs/results/quality.md``, The squeeze."""
    reach = np.full(hand.dof_count, 0.1)
    sliding = (np.asarray(hand.joint_type) == JointType.PRISMATIC) & (hand.joint_dof >= 0)
    reach[hand.joint_dof[sliding]] = 0.01
    return reach


def _at_limit(torque: FloatArray, limit: FloatArray) -> FloatArray:
    """Direction of the torques that are at their limits, 0 for the others, shape [N, J]."""
    return np.where(np.abs(torque) > 0.999 * limit, np.sign(torque), 0.0)  # files are float32
