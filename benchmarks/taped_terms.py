"""What a step costs when energy terms take their gradients from a ``wp.Tape`` instead of a hand-derived adjoint.

    python benchmarks/taped_terms.py

One object, 32 grasps of the Allegro hand, 12 contacts, MALA. Each line replaces one hand-derived term of ``graspqp`` by its own
taped form, or adds a small term that has only a taped form. CPU time of the process per grasp-step; the first steps, which
compile the kernels, are not counted.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import warp as wp
from machine import machine_name

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_path, load_object
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.optimizer import OptimizerMala
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.synthesize import run_steps

GRASP_COUNT, STEP_COUNT = 32, 400


@dataclass(frozen=True)
class OnlyTaped:
    """A term of the package without its hand-derived form."""

    term: Any
    weight: float

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        """Record the term on the tape."""
        self.term.launch_taped(problem, state, energy)


@wp.kernel
def add_height(
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Mean height of the contacts."""
    grasp, contact = wp.tid()
    wp.atomic_add(energy, grasp, contact_position[grasp, contact][2] / float(contact_position.shape[1]))


@dataclass(frozen=True)
class Height:
    """A term of one small kernel."""

    weight: float = 1.0

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        """Record the term on the tape."""
        wp.launch(
            add_height,
            dim=state.contact_position.shape,
            inputs=[state.contact_position],
            outputs=[energy],
            device=problem.device,
        )


def milliseconds(energy: EnergyConfig) -> float:
    """CPU time of a grasp-step [ms]."""
    problem = GraspProblem(
        load_hand("allegro"),
        [load_object(example_object_path("mug"))],
        grasp_count=GRASP_COUNT,
        terms=energy.active_terms(),
        device="cpu",
    )
    optimizer = OptimizerMala()
    seeds = seed_grasps(problem, InitializeConfig(), seed=0)
    state = optimizer.init(problem, seeds, [], step_count=STEP_COUNT)
    run_steps(problem, optimizer, state, 5)
    started = time.process_time()
    run_steps(problem, optimizer, state, STEP_COUNT)
    return 1e3 * (time.process_time() - started) / (STEP_COUNT * GRASP_COUNT)


def main() -> None:
    """Print the table."""
    quiet_warp()
    print(f"{machine_name()}, CPU ms per grasp-step, {STEP_COUNT} steps\n")
    plain = EnergyConfig()
    print(f"graspqp, all terms by hand       {milliseconds(plain):.4f}")
    print(f"... and a small taped term       {milliseconds(EnergyConfig(extra={'height': Height()})):.4f}")
    for name, term in plain.active_terms().items():
        silent = dataclasses.replace(term, weight=0.0)  # type: ignore[type-var]
        extra = {"taped": OnlyTaped(term, term.weight)}
        config = dataclasses.replace(plain, **{name: silent}, extra=extra)
        print(f"{f'{name} from the tape':<32} {milliseconds(config):.4f}")


if __name__ == "__main__":
    main()
