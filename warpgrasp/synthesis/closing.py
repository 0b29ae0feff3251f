"""The last stage of a synthesis: contacts of finished grasps are brought onto the object.

An annealed grasp ends with its contacts about a millimetre off: each pulls a little, against the others and against the
penetration of its neighbours. Damped least squares (``kernels/targets/closing.py``) solves for all of them at once.

Moved contacts have other normals, so that a grasp may touch better and yet be closed no more. The stage is therefore run in a
few variants, from the one that lets the hand least into the object to the one that lets it most, with contacts that stay on
their link's candidates and with contacts that slide; each grasp takes the first variant in which the contacts that touch give
force closure, or the first one where none does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.closing_steps import CHUNK, ClosingSteps
from warpgrasp.synthesis.closure import closed_by_touching

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["ClosingConfig", "close_gaps"]

_VARIABLES = ("root_pose", "joint_position", "contact_index", "closest_point")


def close_gaps(
    problem: GraspProblem, state: GraspState, config: ClosingConfig, *, friction: float
) -> NDArray[np.bool_]:
    """Bring the contacts of ``state`` onto the object, in place, and evaluate it.

    Args:
        problem: Hand and objects.
        state: Grasps; only their variables are read.
        config: Hyper-parameters.
        friction: Coulomb coefficient at which touching contacts must close the grasp.

    Returns:
        Whether the contacts that touch close each grasp, shape [B].
    """
    if config.steps == 0:
        problem.evaluate(state)
        return closed_by_touching(problem, state, touching=config.touching, friction=friction)
    start = {name: getattr(state, name).numpy().copy() for name in _VARIABLES}
    chosen = {name: values.copy() for name, values in start.items()}
    closed = np.zeros(problem.batch_size, dtype=bool)
    variants = config.variants()
    for number, tried in enumerate((variants[:1], variants[1:])):
        for grasps in _chunks(np.flatnonzero(~closed)):
            found, variables = _run_variants(problem, config, tried, grasps, start, friction)
            first = np.argmax(
                found, axis=0
            )  # the first variant that closes a grasp, variant 0 where none does
            now = found.any(axis=0)
            take = now | (number == 0)
            for name, values in variables.items():
                chosen[name][grasps[take]] = values[first, np.arange(len(grasps))][take]
            closed[grasps] = now
    for name, values in chosen.items():
        getattr(state, name).assign(values)
    problem.evaluate(state)
    return closed


def _run_variants(
    problem: GraspProblem,
    config: ClosingConfig,
    variants: tuple[ClosingConfig, ...],
    grasps: NDArray[np.int64],
    start: dict[str, NDArray[Any]],
    friction: float,
) -> tuple[NDArray[np.bool_], dict[str, NDArray[Any]]]:
    """Run some variants of some grasps side by side.

    Returns:
        Whether each variant closes each grasp, shape [V, A], and where it brings it, each of shape [V, A, ...].
    """
    shape = (len(variants), len(grasps))
    steps = ClosingSteps(
        problem,
        config,
        np.tile(grasps, len(variants)),
        {name: np.concatenate([values[grasps]] * len(variants)) for name, values in start.items()},
        allowance=np.repeat([variant.allowance for variant in variants], len(grasps)),
        slides=np.repeat([variant.slides > 0 for variant in variants], len(grasps)),
    )
    closed = steps.run(friction)
    moved = {name: array.numpy() for name, array in steps.variables.items()}
    return closed.reshape(shape), {
        name: values.reshape(*shape, *values.shape[1:]) for name, values in moved.items()
    }


def _chunks(grasps: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Parts of a batch, so that the memory of the steps does not grow with it."""
    return [grasps[start : start + CHUNK] for start in range(0, len(grasps), CHUNK)]
