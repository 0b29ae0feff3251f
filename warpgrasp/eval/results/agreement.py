"""Do two engines say the same? Verdicts side by side, grasp by grasp, and Cohen's kappa.

    kappa = (p_o - p_e) / (1 - p_e)    p_o: share of equal verdicts, p_e: share expected of two independent judges

When nearly all grasps hold, or nearly none, two judges agree whatever they look at and kappa hangs on a few grasps: it is
called meaningful only where both engines hold 30 to 70 % (Cohen 1960; Feinstein and Cicchetti 1990).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.eval.results.case_result import CaseResult

__all__ = ["MEANINGFUL_SHARE", "MEASURES", "Agreement", "Comparison", "Disagreement"]

MEANINGFUL_SHARE = (0.3, 0.7)
"""Share of holding verdicts, of both engines, between which kappa means something."""


@dataclass(frozen=True)
class Agreement:
    """Counts of two judges' verdicts on the same grasps."""

    both: int
    """Hold according to both."""
    first_only: int
    second_only: int
    neither: int

    @classmethod
    def of(cls, first: ArrayLike, second: ArrayLike) -> Agreement:
        """Count the verdicts of two arrays of booleans of one shape.

        Raises:
            ValueError: The shapes differ, or there is no verdict.
        """
        one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
        if one.shape != two.shape or one.size == 0:
            raise ValueError(
                f"two arrays of one shape with verdicts are needed (got {one.shape} and {two.shape})"
            )
        counts = (one & two, one & ~two, ~one & two, ~one & ~two)
        return cls(*(int(entry.sum()) for entry in counts))

    @property
    def count(self) -> int:
        """Number of verdicts."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def first_share(self) -> float:
        """Share that holds according to the first."""
        return (self.both + self.first_only) / self.count

    @property
    def second_share(self) -> float:
        """Share that holds according to the second."""
        return (self.both + self.second_only) / self.count

    @property
    def observed(self) -> float:
        """Share of equal verdicts."""
        return (self.both + self.neither) / self.count

    @property
    def expected(self) -> float:
        """Share of equal verdicts of independent judges with these shares."""
        return self.first_share * self.second_share + (1.0 - self.first_share) * (1.0 - self.second_share)

    @property
    def kappa(self) -> float:
        """Cohen's kappa; NaN where both judges always say the same one thing."""
        remainder = 1.0 - self.expected
        return (self.observed - self.expected) / remainder if remainder > 1.0e-12 else float("nan")

    @property
    def meaningful(self) -> bool:
        """Whether kappa says something: both shares lie within ``MEANINGFUL_SHARE``."""
        low, high = MEANINGFUL_SHARE
        return low <= self.first_share <= high and low <= self.second_share <= high


@dataclass(frozen=True)
class Disagreement:
    """One grasp under one force on whose Succ1 or Succ3 the engines differ."""

    object: str
    grasp: int
    """Index in the file."""
    force: float
    """[N]."""
    trial_success: tuple[tuple[bool, ...], tuple[bool, ...]]
    """Of the first and the second engine, per trial."""
    displacement: tuple[tuple[float, ...], tuple[float, ...]]
    """Largest way in each trial [m]."""
    contact_count: tuple[int, int]
    """Before the first push."""
    reason: tuple[FailureReason, FailureReason]


MEASURES: dict[str, Callable[[Verdict], NDArray[np.bool_]]] = {
    "Succ1": lambda verdict: verdict.success_any,
    "Succ3": lambda verdict: verdict.success_all,
    "per trial": lambda verdict: verdict.trial_success,
}
"""What is compared: name -> booleans of a :class:`~warpgrasp.eval.protocol.verdict.Verdict`."""


@dataclass
class Comparison:
    """Results of two engines on the same grasp files, gathered file by file."""

    first: str
    """Name of the first engine."""
    second: str
    pairs: list[tuple[str, CaseResult, CaseResult]] = field(default_factory=list)
    """Name of the object and the two results."""

    def add(self, name: str, first: CaseResult, second: CaseResult) -> None:
        """Take the results of one file.

        Raises:
            ValueError: They are not about the same grasps and forces.
        """
        if len(first) != len(second) or not np.array_equal(first.force, second.force):
            raise ValueError(
                f"{name}: {self.first} has {len(first)} grasps at {first.force.tolist()} N, {self.second} "
                f"{len(second)} at {second.force.tolist()} N; evaluate the same file at the same forces"
            )
        self.pairs.append((name, first, second))

    @property
    def forces(self) -> tuple[float, ...]:
        """Forces at which grasps were simulated [N]."""
        return tuple(
            sorted(
                {
                    float(force)
                    for _, first, _ in self.pairs
                    for index, force in enumerate(first.force)
                    if (first.verdict(index).reason != FailureReason.INVALID).any()
                }
            )
        )

    def agreements(self, force: float) -> dict[str, Agreement]:
        """Agreement under one force over all files, by name of the measure; grasps without a pose are left out.

        Raises:
            ValueError: There is no simulated grasp at this force.
        """
        verdicts = [(one, two, one.reason != FailureReason.INVALID) for _, one, two in self._verdicts(force)]
        if not any(simulated.any() for _, _, simulated in verdicts):
            raise ValueError(f"no grasp was simulated at {force:g} N")
        return {
            name: Agreement.of(
                np.concatenate([np.ravel(measure(one)[some]) for one, _, some in verdicts]),
                np.concatenate([np.ravel(measure(two)[some]) for _, two, some in verdicts]),
            )
            for name, measure in MEASURES.items()
        }

    def disagreements(self) -> list[Disagreement]:
        """Grasps whose Succ1 or Succ3 differ, in the order of forces and files."""
        found = []
        for force in self.forces:
            for name, one, two in self._verdicts(force):
                differ = (one.success_any != two.success_any) | (one.success_all != two.success_all)
                found += [_disagreement(name, force, int(i), one, two) for i in np.flatnonzero(differ)]
        return found

    def content(self) -> dict[str, Any]:
        """All of it as JSON holds it; numbers that are not finite become ``None``."""
        return {
            "engines": [self.first, self.second],
            "agreement": [
                {"force": force, "measure": name, **_numbers(agreement)}
                for force in self.forces
                for name, agreement in self.agreements(force).items()
            ],
            "disagreements": [
                {
                    **vars(entry),
                    "displacement": [[_finite(way) for way in ways] for ways in entry.displacement],
                    "reason": [reason.name.lower() for reason in entry.reason],
                }
                for entry in self.disagreements()
            ],
        }

    def _verdicts(self, force: float) -> list[tuple[str, Verdict, Verdict]]:
        return [
            (name, first.verdict(int(index)), second.verdict(int(index)))
            for name, first, second in self.pairs
            for index in np.flatnonzero(first.force == force)
        ]


def _disagreement(name: str, force: float, grasp: int, one: Verdict, two: Verdict) -> Disagreement:
    def pair(column: str) -> tuple[Any, Any]:
        values: list[NDArray] = [getattr(verdict, column)[grasp] for verdict in (one, two)]
        first, second = (value.tolist() for value in values)
        return (tuple(first), tuple(second)) if isinstance(first, list) else (first, second)

    reason = pair("reason")
    return Disagreement(
        object=name,
        grasp=grasp,
        force=force,
        trial_success=pair("trial_success"),
        displacement=pair("displacement"),
        contact_count=pair("contact_count"),
        reason=(FailureReason(reason[0]), FailureReason(reason[1])),
    )


def _numbers(agreement: Agreement) -> dict[str, Any]:
    return {
        **vars(agreement),
        "first_share": agreement.first_share,
        "second_share": agreement.second_share,
        "observed": agreement.observed,
        "kappa": _finite(agreement.kappa),
        "meaningful": agreement.meaningful,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
