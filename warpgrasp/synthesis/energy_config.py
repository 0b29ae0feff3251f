"""Energy terms: what makes a grasp good, each an object of hyper-parameters with a weight and one or two methods.

Contract of a term (``EnergyTerm``): a number ``weight``, and at least one of

- ``launch(problem, state, energy)`` writes the *unweighted* energy of every grasp to ``energy`` [B] and adds ``weight`` times
  its derivatives to the state's accumulators: ``state.link_wrench`` for what acts on link poses (force and torque about the
  object origin), ``state.joint_force`` for what acts on joints directly.
- ``launch_taped(problem, state, energy)`` adds the unweighted energy to ``energy`` [B] by kernels with recorded adjoints,
  discrete features frozen. Gradients flow to ``root_pose``, ``link_pose``, ``joint_position``, ``contact_position``,
  ``hand_normal`` and ``contact_distance`` of the state; ``closest_point`` and ``object_normal`` are constants of the step.

The synthesis takes ``launch`` where there is one and differentiates ``launch_taped`` on a ``wp.Tape`` otherwise. That costs
little for a small kernel and much for terms whose hand-derived form skips work (``docs/results/performance.md``): begin with
``launch_taped``, derive the adjoint by hand when the speed matters, and test it against the tape.
``GraspProblem.evaluate_taped`` needs ``launch_taped`` of every term. Both methods are captured in a graph: they read nothing
back to the host, and keep scratch arrays with ``state.buffer``.

The problem owns kinematics, contact features and the weighted sum; a term reads them from the state and never recomputes
them. To add a term without touching the package, write its class and pass ``EnergyConfig(extra={"my_term": MyTerm()})``. A
term of weight 0 is not launched.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from warpgrasp.synthesis.energy_optional import Approach, Manipulability, Wall, WrenchBalance
from warpgrasp.synthesis.energy_terms import (
    Distance,
    ForceClosure,
    JointLimits,
    Penetration,
    SelfPenetration,
    SpherePenetration,
)
from warpgrasp.synthesis.problem import EnergyTerm, FusedTerm, TapedTerm

__all__ = [
    "EnergyConfig",
    "EnergyTerm",
]


@dataclass(frozen=True, kw_only=True)
class EnergyConfig:
    """The one list of energy terms, in the order of the columns of results; weight 0 leaves a term out.

    Raises:
        ValueError: for a weight that is negative or not finite, or an extra term that breaks the contract.
    """

    force_closure: ForceClosure = field(default_factory=ForceClosure)
    """Force closure by quadratic program."""
    distance: Distance = field(default_factory=Distance)
    """Contacts touch the object."""
    penetration: Penetration = field(default_factory=Penetration)
    """The hand stays outside the object."""
    sphere_penetration: SpherePenetration = field(default_factory=SpherePenetration)
    """No finger hides inside the object."""
    self_penetration: SelfPenetration = field(default_factory=SelfPenetration)
    """The hand stays outside itself."""
    joint_limits: JointLimits = field(default_factory=JointLimits)
    """Joints stay in their range."""
    wrench_balance: WrenchBalance = field(default_factory=WrenchBalance)
    """DexGraspNet's force-closure surrogate."""
    wall: Wall = field(default_factory=Wall)
    """The hand stays in front of a plane."""
    approach: Approach = field(default_factory=Approach)
    """The palm looks in a preferred direction."""
    manipulability: Manipulability = field(default_factory=Manipulability)
    """Joints can press along the contact normals."""
    extra: Mapping[str, EnergyTerm] = field(default_factory=dict, hash=False)
    """Your own terms by name; their columns come last."""

    def __post_init__(self) -> None:
        built_in = [f.name for f in dataclasses.fields(self)]
        for name, term in self.extra.items():
            _check_extra(name, term, built_in)
        for name, term in self.named_terms().items():
            if not math.isfinite(term.weight) or term.weight < 0.0:
                raise ValueError(f"energy.{name}.weight must be finite and not negative (got {term.weight})")

    def without(self, *names: str) -> EnergyConfig:
        """The same with the terms of these names left out (weight 0)."""
        silent = {name: dataclasses.replace(getattr(self, name), weight=0.0) for name in names}
        return dataclasses.replace(self, **silent)

    def active_terms(self) -> dict[str, EnergyTerm]:
        """Name and term of every term whose weight is not zero, in order."""
        return {name: term for name, term in self.named_terms().items() if term.weight != 0.0}

    def named_terms(self) -> dict[str, EnergyTerm]:
        """Every term by name, built-in ones first, in the order of the columns of results."""
        built_in = [f.name for f in dataclasses.fields(self) if f.name != "extra"]
        return {**{name: getattr(self, name) for name in built_in}, **self.extra}


def _check_extra(name: str, term: object, taken: list[str]) -> None:
    if name in taken:
        raise ValueError(
            f"energy.extra has a term named {name!r}, which is a field of EnergyConfig: choose another name, "
            f"not one of {', '.join(taken)}"
        )
    if not name.isidentifier():
        raise ValueError(
            f"the name of an extra energy term must be a Python identifier, such as my_term (got {name!r})"
        )
    if isinstance(term, type) or not isinstance(term, FusedTerm | TapedTerm):
        raise ValueError(
            f"energy.extra[{name!r}] must be an object with a number weight and a method launch_taped or launch "
            f"(got {term!r}); the contract stands in warpgrasp.synthesis.energy_config"
        )
