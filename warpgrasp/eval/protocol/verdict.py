"""What a physics engine says about grasps: columns, and the reason why a grasp fails."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["FailureReason", "StartContact", "Verdict", "failure_reasons", "too_deep"]

FloatArray = NDArray[np.float64]

DEEP_PENETRATION = 0.003
"""A start deeper than this [m] explains why an object was thrown off, or a hand pushed apart."""
TOUCHED = 1.0e-4
"""An object that moved further than this [m] before the first push has been touched: nothing else moves it."""


class FailureReason(enum.IntEnum):
    """Why a grasp does not pass every trial; the first that applies."""

    HOLDS = 0
    INVALID = 1
    BLOW_UP = 2
    PENETRATION = 3
    SELF_COLLISION = 4
    PUSHED_AWAY = 5
    NO_CONTACT = 6
    SLIP = 7

    @property
    def sentence(self) -> str:
        """One sentence that says what happened."""
        return _SENTENCES[self]


_SENTENCES = {
    FailureReason.HOLDS: "The object stayed in every trial.",
    FailureReason.INVALID: "A pose or a joint target is NaN, or a quaternion has no length; the grasp was not simulated.",
    FailureReason.BLOW_UP: "The simulation became unstable.",
    FailureReason.PENETRATION: "The hand reaches too deep into the object at the start.",
    FailureReason.SELF_COLLISION: "The hand reaches too deep into itself at the start.",
    FailureReason.PUSHED_AWAY: "Closing the hand pushed the object away.",
    FailureReason.NO_CONTACT: "The closed hand never touched the object.",
    FailureReason.SLIP: "The object slipped or was pulled out of the hand.",
}


@dataclass(frozen=True, eq=False)
class StartContact:
    """Contacts of hand and object in one state of N grasps."""

    penetration: FloatArray
    """Deepest hand-object contact [m], at least 0, shape [N]."""
    self_penetration: FloatArray
    """Deepest contact of the hand with itself [m], at least 0, shape [N]."""
    contact_count: NDArray[np.int32]
    """Contact points between hand and object, shape [N]."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """Outcome of a protocol for N grasps and T trials; what is not known of a grasp that was not simulated is NaN."""

    trial_success: NDArray[np.bool_]
    """Whether the object stayed, shape [N, T]."""
    displacement: FloatArray
    """Largest way of the centre of mass in each trial [m], shape [N, T]."""
    rotation: FloatArray
    """Largest angle the object turned in each trial [rad], shape [N, T]."""
    effort_ratio: FloatArray
    """Largest ``|torque| / effort limit`` of any joint at any time, shape [N]."""
    settle_displacement: FloatArray
    """Way of the centre of mass from when the hand has closed until the first push [m], shape [N]; NaN where the push comes
    at once, or the simulation became unstable."""
    penetration: FloatArray
    """Deepest hand-object contact at the reset [m], shape [N]."""
    self_penetration: FloatArray
    """Deepest contact of the hand with itself at the reset [m], shape [N]."""
    contact_count: NDArray[np.int32]
    """Hand-object contact points before the first push, shape [N]."""
    reason: NDArray[np.int32]
    """:class:`FailureReason`, shape [N]."""

    @property
    def success_any(self) -> NDArray[np.bool_]:
        """Succ1: the object stayed in at least one trial, shape [N]."""
        return np.asarray(self.trial_success.any(axis=1))

    @property
    def success_all(self) -> NDArray[np.bool_]:
        """Succ3 of ``graspqp``, success of ``dexgraspbench``: it stayed in all, shape [N]."""
        return np.asarray(self.trial_success.all(axis=1))

    def __len__(self) -> int:
        """Number of grasps."""
        return len(self.reason)

    @classmethod
    def invalid(cls, count: int, trial_count: int) -> Verdict:
        """Verdict of grasps that cannot be simulated."""
        nan, trials = np.full(count, np.nan), np.full((count, trial_count), np.nan)
        zero = np.zeros(count, dtype=np.int32)
        return cls(
            trial_success=np.zeros((count, trial_count), dtype=bool),
            displacement=trials,
            rotation=trials.copy(),
            effort_ratio=nan,
            settle_displacement=nan.copy(),
            penetration=nan.copy(),
            self_penetration=nan.copy(),
            contact_count=zero,
            reason=np.full(count, int(FailureReason.INVALID), dtype=np.int32),
        )

    def without_infinite(self) -> Verdict:
        """The same with NaN for displacements and rotations that are not finite."""
        finite = {
            name: np.where(np.isfinite(value), value, np.nan)
            for name, value in (("displacement", self.displacement), ("rotation", self.rotation))
        }
        return replace(self, **finite)

    @classmethod
    def concatenate(cls, parts: Sequence[Verdict]) -> Verdict:
        """Join verdicts of the same protocol, in order."""
        return cls(*(np.concatenate([getattr(part, entry.name) for part in parts]) for entry in fields(cls)))

    def scatter(self, index: NDArray[np.int64], whole: Verdict) -> Verdict:
        """``whole`` with these grasps at ``index``."""
        result = Verdict.concatenate([whole])
        for entry in fields(self):
            getattr(result, entry.name)[index] = getattr(self, entry.name)
        return result


def too_deep(start: StartContact, limit: float | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a hand starts too deep in the object, and too deep in itself, each of shape [N]; never without a limit.

    Args:
        start: Contacts at the reset.
        limit: The protocol's ``start_penetration_limit`` [m].
    """
    deepest = np.inf if limit is None else limit
    return start.penetration > deepest, start.self_penetration > deepest


def failure_reasons(
    *,
    trial_success: NDArray[np.bool_],
    blown_up: NDArray[np.bool_],
    settle_failed: NDArray[np.bool_],
    settle_way: FloatArray,
    start: StartContact,
    contact_count: NDArray[np.int32],
    start_penetration_limit: float | None,
) -> NDArray[np.int32]:
    """:class:`FailureReason` of every grasp, shape [N].

    Args:
        trial_success: Outcome of the trials, shape [N, T].
        blown_up: The engine lost the simulation, shape [N].
        settle_failed: The object left its limits before the first push, shape [N].
        settle_way: Largest way of its centre of mass before the first push [m], shape [N].
        start: Contacts at the reset.
        contact_count: Hand-object contacts before the first push, shape [N].
        start_penetration_limit: Depth at the reset beyond which a grasp fails [m], if the protocol has one.
    """
    inside, entangled = too_deep(start, start_penetration_limit)
    away = settle_failed | ((contact_count == 0) & (settle_way > TOUCHED))
    conditions = (
        (blown_up, FailureReason.BLOW_UP),
        (inside, FailureReason.PENETRATION),
        (entangled, FailureReason.SELF_COLLISION),
        (trial_success.all(axis=1), FailureReason.HOLDS),
        (away & (start.penetration > DEEP_PENETRATION), FailureReason.PENETRATION),
        (away, FailureReason.PUSHED_AWAY),
        (contact_count == 0, FailureReason.NO_CONTACT),
        (start.self_penetration > DEEP_PENETRATION, FailureReason.SELF_COLLISION),
    )
    reason = np.full(len(blown_up), int(FailureReason.SLIP), dtype=np.int32)
    for condition, value in reversed(conditions):
        reason[condition] = int(value)
    return reason
