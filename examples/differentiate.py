"""Differentiate the energy of grasps in three ways, and check each against finite differences.

1. ``GraspProblem.evaluate`` has hand-derived gradients; it is what the synthesis uses.
2. ``GraspProblem.evaluate_taped`` records the same energy on a ``wp.Tape``.
3. ``warpgrasp.torch_bridge.grasp_energy`` is a torch function (skipped with a message where torch is not installed).

The script then descends along the gradient for a few steps and prints how the energy falls. The table of gradients goes into a
CSV file.

    python examples/differentiate.py out/differentiate
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import warp as wp

from warpgrasp import EnergyConfig, load_hand, load_object
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.objects import example_object_path
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, SeedGrasps, seed_grasps
from warpgrasp.synthesis.state import GraspState

STEP = 1e-3  # m or rad, of the finite differences


def state_at(
    problem: GraspProblem, seeds: SeedGrasps, translation: np.ndarray, joints: np.ndarray
) -> GraspState:
    """The evaluated state of the seeds, moved by ``translation`` [m] and ``joints`` [rad]."""
    state = problem.create_state()
    root = seeds.root_pose.copy()
    root[:, :3] += translation
    problem.set_variables(state, root, seeds.joint_position + joints, seeds.contact_index)
    problem.evaluate(state)
    return state


def finite_difference(problem: GraspProblem, seeds: SeedGrasps) -> np.ndarray:
    """Central differences of the first grasp's energy along x of the root and every joint."""
    slopes = []
    for column in range(-1, len(problem.hand.joint_names)):
        move, turn = np.zeros(3), np.zeros(len(problem.hand.joint_names))
        if column < 0:
            move[0] = STEP
        else:
            turn[column] = STEP
        ahead = state_at(problem, seeds, move, turn).energy.numpy()[0]
        behind = state_at(problem, seeds, -move, -turn).energy.numpy()[0]
        slopes.append((ahead - behind) / (2.0 * STEP))
    return np.array(slopes)


def tape_gradient(problem: GraspProblem, state: GraspState) -> np.ndarray:
    """Gradient [B, 6 + J] of the energy through a ``wp.Tape``."""
    shape = (problem.batch_size, 6 + len(problem.hand.joint_names))
    increment = wp.zeros(shape, dtype=wp.float32, device=problem.device, requires_grad=True)
    with wp.Tape() as tape:
        energy = problem.evaluate_taped(state, increment)
    tape.backward(grads={energy: wp.ones_like(energy)})
    return increment.grad.numpy()


def torch_gradient(problem: GraspProblem, seeds: SeedGrasps) -> np.ndarray:
    """Gradient with respect to root position and joints [B, 3 + J] through torch."""
    import torch

    from warpgrasp.torch_bridge import grasp_energy

    pose = torch.tensor(seeds.root_pose, dtype=torch.float32, requires_grad=True)
    joints = torch.tensor(seeds.joint_position, dtype=torch.float32, requires_grad=True)
    energy = grasp_energy(problem, pose, joints, torch.tensor(seeds.contact_index))
    energy.sum().backward()
    return torch.cat([pose.grad[:, :3], joints.grad], dim=1).numpy()


def descend(problem: GraspProblem, seeds: SeedGrasps, step_count: int) -> tuple[float, float]:
    """Mean energy before and after steps along the negative gradient, scaled to 1 mm and 0.02 rad at most."""
    translation, joints = np.zeros((problem.batch_size, 3)), np.zeros_like(seeds.joint_position)
    first = float(state_at(problem, seeds, translation, joints).energy.numpy().mean())
    for _ in range(step_count):
        slope = state_at(problem, seeds, translation, joints).gradient.numpy()
        translation -= 1e-3 * slope[:, :3] / np.linalg.norm(slope[:, :3], axis=1, keepdims=True)
        joints -= 0.02 * slope[:, 6:] / np.abs(slope[:, 6:]).max(axis=1, keepdims=True)
    return first, float(state_at(problem, seeds, translation, joints).energy.numpy().mean())


def main() -> None:
    """Compare the gradients and descend."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--grasps", type=int, default=8, help="grasps of the batch")
    parser.add_argument("--steps", type=int, default=50, help="steps of the descent")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    quiet_warp()  # no messages about compiled kernels

    hand, mug = load_hand("allegro"), load_object(example_object_path("mug"))
    problem = GraspProblem(
        hand, [mug], terms=EnergyConfig().active_terms(), grasp_count=options.grasps, device="cpu"
    )
    seeds = seed_grasps(problem, InitializeConfig(), seed=0)
    state = state_at(problem, seeds, np.zeros(3), np.zeros(len(hand.joint_names)))
    derived, taped = state.gradient.numpy(), tape_gradient(problem, state)
    error = np.abs(derived - taped).max() / np.abs(derived).max()
    print(f"The tape and the hand-derived gradient differ by {error:.1e} of the largest entry.")

    columns = [0, *range(6, derived.shape[1])]
    difference = finite_difference(problem, seeds)
    rows = np.column_stack([derived[0, columns], taped[0, columns], difference])
    names = ["root x", *hand.joint_names]
    table = options.out / "gradient.csv"
    lines = [
        f"{name},{','.join(f'{value:.6g}' for value in row)}" for name, row in zip(names, rows, strict=True)
    ]
    table.write_text(
        "\n".join(["variable,hand-derived,tape,central difference", *lines]) + "\n", encoding="utf-8"
    )
    correlation = np.corrcoef(derived[0, columns], difference)[0, 1]
    print(
        f"Their correlation with central differences, which also see the object's curvature, is {correlation:.3f}."
    )

    if importlib.util.find_spec("torch") is None:
        print("torch is not installed, so its part is left out.")
    else:
        from_torch = torch_gradient(problem, seeds)
        error = (
            np.abs(from_torch - derived[:, [0, 1, 2, *range(6, derived.shape[1])]]).max()
            / np.abs(derived).max()
        )
        print(f"The gradient through torch differs from them by {error:.1e} of the largest entry.")

    first, last = descend(problem, seeds, options.steps)
    print(
        f"Along the negative gradient the mean energy falls from {first:.1f} to {last:.1f} in {options.steps} steps."
    )
    print(f"The gradients of the first grasp are in {table}.")


if __name__ == "__main__":
    main()
