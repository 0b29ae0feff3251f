"""Problems and states that several test files share: real hands, shipped objects, random and annealed grasps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands import HandModel, load_hand
from warpgrasp.objects import ObjectModel, example_object_names, example_object_path, load_object
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.optimizer import OptimizerMala
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps
from warpgrasp.synthesis.state import GraspState

__all__ = [
    "HANDS",
    "Variables",
    "annealed_variables",
    "example_objects",
    "make_problem",
    "only",
    "random_variables",
    "state_of",
]

HANDS = ("allegro", "robotiq_2f140")


@dataclasses.dataclass(frozen=True, eq=False)
class Variables:
    """What decides a batch of grasps: root poses [B, 7], joints [B, J], contacts [B, C]."""

    root_pose: NDArray[np.float64]
    joint_position: NDArray[np.float64]
    contact_index: NDArray[np.int32]


@lru_cache(maxsize=8)
def _example(name: str) -> ObjectModel:
    return load_object(example_object_path(name))


def example_objects(count: int = 3) -> list[ObjectModel]:
    """The first shipped objects."""
    return [_example(name) for name in example_object_names()[:count]]


def only(**terms: Any) -> EnergyConfig:
    """Energy of the given terms alone."""
    silent = {
        name: dataclasses.replace(term, weight=0.0)  # type: ignore[type-var]
        for name, term in EnergyConfig().named_terms().items()
    }
    return EnergyConfig(**{**silent, **terms})


def make_problem(
    hand: str = "allegro",
    objects: Sequence[ObjectModel] | None = None,
    *,
    grasp_count: int = 2,
    contact_count: int = 12,
    energy: EnergyConfig | None = None,
    **options: Any,
) -> GraspProblem:
    """A problem on the CPU, by default over the shipped objects."""
    return GraspProblem(
        load_hand(hand),
        objects or example_objects(),
        grasp_count=grasp_count,
        contact_count=contact_count,
        terms=(energy or EnergyConfig()).active_terms(),
        device="cpu",
        **options,
    )


def random_variables(problem: GraspProblem, seed: int) -> Variables:
    """Hands around and partly inside their objects; joints anywhere, up to 10 % of their range beyond the limits.

    The first hand of each object is clenched, so that it penetrates itself.
    """
    near = InitializeConfig(distance_lower=0.0, distance_upper=0.04, joint_spread=0.3)
    seeds = seed_grasps(problem, near, seed=seed)
    rng = np.random.default_rng(seed)
    lower, upper = problem.hand.dof_lower, problem.hand.dof_upper
    share = rng.uniform(-0.1, 1.1, size=seeds.joint_position.shape)
    outward = seeds.root_pose[:, :3] / np.linalg.norm(seeds.root_pose[:, :3], axis=1, keepdims=True)
    seeds.root_pose[:, :3] -= rng.uniform(0.0, 0.05, size=(len(outward), 1)) * outward
    joints = lower + share * (upper - lower)
    for grasp in range(0, problem.batch_size, problem.grasp_count):
        joints[grasp] = _clenched(problem.hand, rng)
    return Variables(seeds.root_pose, joints, seeds.contact_index)


def _clenched(hand: HandModel, rng: np.random.Generator) -> NDArray[np.float64]:
    """Of 40 random joint positions the one whose fingers interpenetrate most."""
    first, second = hand.self_collision_pairs().T
    reach = hand.sphere_radius[first] + hand.sphere_radius[second]
    best, worst = hand.dof_opening, -1.0
    for _ in range(40):
        joints = hand.dof_lower + rng.uniform(-0.1, 1.1, hand.dof_count) * (hand.dof_upper - hand.dof_lower)
        center = hand.sphere_centers((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), joints)
        overlap = float(np.maximum(0.0, reach - np.linalg.norm(center[first] - center[second], axis=1)).sum())
        if overlap > worst:
            best, worst = joints, overlap
    return best


def annealed_variables(problem: GraspProblem, seed: int, *, step_count: int = 200) -> Variables:
    """Grasps a short optimisation run ends with: contacts on the surface, joints at their limits."""
    optimizer = OptimizerMala()
    seeds = seed_grasps(problem, InitializeConfig(distance_upper=0.06), seed=seed)
    state = optimizer.init(problem, seeds, [], step_count=step_count)
    for _ in range(step_count):
        optimizer.step(problem, state)
    best = state.best
    return Variables(
        best.root_pose.numpy().astype(np.float64),
        best.joint_position.numpy().astype(np.float64),
        best.contact_index.numpy(),
    )


def state_of(problem: GraspProblem, variables: Variables) -> GraspState:
    """Evaluated state of given variables."""
    state = problem.create_state()
    problem.set_variables(state, variables.root_pose, variables.joint_position, variables.contact_index)
    problem.evaluate(state)
    return state
