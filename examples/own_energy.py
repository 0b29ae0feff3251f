"""Add an energy term of your own: grasps that hold a bottle where you want it.

Run it from the folder of the repository::

    python examples/own_energy.py

The term below says only what its energy is, as one Warp kernel; its gradient comes from a ``wp.Tape``. The same class works on
the command line, where its hyper-parameters become options::

    cd examples
    python -m warpgrasp.generate bottle --energy own_energy:ContactHeight --energy.extra.contact-height.height 0.04
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from warpgrasp import EnergyConfig, GraspSet, SynthesisConfig, load_hand, load_object, synthesize
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.objects import example_object_path
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.state import GraspState


@wp.kernel
def add_height_energy(
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C] m, object frame
    height: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Add the mean of ``(z - height)^2`` over the contacts of a grasp; one thread per contact."""
    grasp, contact = wp.tid()
    error = contact_position[grasp, contact][2] - height
    wp.atomic_add(energy, grasp, error * error / float(contact_position.shape[1]))


@dataclass(frozen=True, kw_only=True)
class ContactHeight:
    """Mean squared distance of the contacts from a height along the object's z axis [m^2]."""

    weight: float = 10000.0
    """Factor in the total energy [1/m^2]: an error of one centimetre counts 1, as much as one contact 1 cm off the surface."""
    height: float = 0.05
    """Wanted height [m], object frame."""

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        """Add the energy of every grasp; the package differentiates it on a tape."""
        wp.launch(
            add_height_energy,
            dim=state.contact_position.shape,
            inputs=[state.contact_position, self.height],
            outputs=[energy],
            device=problem.device,
        )


def describe(title: str, grasps: GraspSet) -> None:
    """Print where the contacts lie, and what the terms say."""
    height = 1e3 * grasps.contact_position[:, :, 2]
    terms = ", ".join(grasps.energy_term_names)
    print(
        f"{title}: the contacts of {len(grasps)} grasps lie {round(np.mean(height))} mm high on average "
        f"(from {round(np.min(height))} to {round(np.max(height))} mm). The terms of the energy are {terms}."
    )


def main() -> None:
    """Synthesise the same grasps without and with the term."""
    quiet_warp()  # no messages about compiled kernels
    hand, bottle = load_hand("allegro"), load_object(example_object_path("bottle"))
    low, high = 1e3 * bottle.vertices[:, 2].min(), 1e3 * bottle.vertices[:, 2].max()
    print(f"The bottle reaches from {low:.0f} to {high:.0f} mm.")
    settings = {"grasp_count": 4, "step_count": 400, "contact_count": 12, "device": "cpu"}
    (plain,) = synthesize(hand, [bottle], SynthesisConfig(**settings))
    describe("Without the term", plain)
    for wanted in (0.05, -0.03):
        energy = EnergyConfig(extra={"contact_height": ContactHeight(height=wanted)})
        (grasps,) = synthesize(hand, [bottle], SynthesisConfig(**settings, energy=energy))
        describe(f"With a wanted height of {1e3 * wanted:.0f} mm", grasps)


if __name__ == "__main__":
    main()
