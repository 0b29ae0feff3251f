"""The last stage of a synthesis: contacts of finished grasps are brought onto the object.

An annealed grasp ends with its contacts about a millimetre off: each pulls a little, against the others and against the
penetration of its neighbours. Damped least squares (``kernels/targets/closing.py``) solves for all of them at once.

Moved contacts have other normals, so that a grasp may touch better and yet be closed no more. The stage is therefore run in a
few variants, from the one that lets the hand least into the object to the one that lets it most, with contacts that stay on
their link's candidates and with contacts that slide; each grasp takes the first variant in which the contacts that touch give
force closure, or the first one where none does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    branch = {name: values.copy() for name, values in start.items()}
    closed = np.zeros(problem.batch_size, dtype=bool)
    for number, variant in enumerate(config.variants()):
        for grasps in _chunks(np.flatnonzero(~closed)):
            slides = variant.slides > 0  # after steps that are those of the variant before, without slides
            own = {name: values[grasps] for name, values in (branch if slides else start).items()}
            steps = ClosingSteps(
                problem, config, grasps, own, allowance=variant.allowance, slides=slides, branches=slides
            )
            now = steps.run(friction)
            take = now | (number == 0)
            for name, array in steps.variables.items():
                chosen[name][grasps[take]] = array.numpy()[take]
            closed[grasps] = now
            if not slides:
                for name, values in branch.items():
                    values[grasps] = steps.branch[name]
    for name, values in chosen.items():
        getattr(state, name).assign(values)
    problem.evaluate(state)
    return closed


def _chunks(grasps: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Parts of a batch, so that the memory of the steps does not grow with it."""
    return [grasps[start : start + CHUNK] for start in range(0, len(grasps), CHUNK)]
