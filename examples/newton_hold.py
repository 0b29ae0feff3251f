"""Hold a grasp in a Newton simulation and record it.

The script synthesises a few grasps, spawns the hand and the object in Newton from the same USD assets that the synthesis
reads, closes the hand with the squeeze targets of the best grasp, then turns gravity on. The recording is a USD stage with
time samples: open ``recording.usd`` in usdview or Omniverse and press play. Needs the extra ``sim``.

    python examples/newton_hold.py out/newton_hold --hand allegro --object mug
"""

from __future__ import annotations

import argparse
from pathlib import Path

import newton
import numpy as np
import warp as wp

from warpgrasp import GraspSet, SynthesisConfig, load_hand, load_object, synthesize
from warpgrasp.hands import HandModel
from warpgrasp.objects import example_object_path
from warpgrasp.objects.assets import AssetConfig, make_object_asset

FRAME_RATE = 60
STEPS_PER_FRAME = 4
CLOSING_TIME = 0.5  # s without gravity, while the fingers press
GRAVITY = -9.81  # m/s^2


def build_model(hand: HandModel, grasp: GraspSet, object_asset: str) -> newton.Model:
    """A Newton model of the hand at the first grasp of ``grasp``, its root fixed, and the object as a free body."""
    builder = newton.ModelBuilder()
    newton.solvers.SolverMuJoCo.register_custom_attributes(builder)
    root = wp.transform(wp.vec3(*grasp.root_position[0]), wp.quat(*grasp.root_quaternion[0]))
    # ``root`` replaces the pose of the asset's root link; ``floating=False`` fixes it to the world.
    builder.add_usd(str(hand.path), xform=root, override_root_xform=True, floating=False)
    place = dict(zip(builder.joint_label, builder.joint_q_start, strict=True))
    start = hand.expand_joint_position(grasp.joint_position[0])
    target = hand.expand_joint_position(grasp.squeeze_joint_position[0])
    for path, name in zip(hand.joint_paths, hand.link_joint_names, strict=True):
        if name in start:  # joints that move, mimic joints included
            builder.joint_q[place[path]] = start[name]
            builder.joint_target_q[place[path]] = target[name]
    # Object frame = world frame: grasps are poses of the hand in the frame of the object.
    builder.add_usd(object_asset)
    return builder.finalize()


def simulate(model: newton.Model, frame_count: int, viewer: newton.viewer.ViewerBase) -> np.ndarray:
    """Positions of the object [m], shape [frame_count + 1, 3]; every frame goes to the viewer."""
    # One world on the CPU runs in MuJoCo itself; on CUDA, Newton's MuJoCo-Warp solver can hold thousands of worlds.
    on_cpu = not wp.get_device().is_cuda
    solver = newton.solvers.SolverMuJoCo(
        model, cone="elliptic", impratio=10.0, iterations=100, use_mujoco_cpu=on_cpu
    )
    state, following, control = model.state(), model.state(), model.control()
    newton.eval_fk(model, model.joint_q, model.joint_qd, state)
    viewer.set_model(model)
    step = 1.0 / (FRAME_RATE * STEPS_PER_FRAME)
    way = [state.body_q.numpy()[-1, :3].copy()]
    for frame in range(frame_count):
        falls = frame >= CLOSING_TIME * FRAME_RATE
        if frame == 0 or frame == CLOSING_TIME * FRAME_RATE:
            model.set_gravity((0.0, 0.0, GRAVITY if falls else 0.0))
            solver.notify_model_changed(newton.ModelFlags.MODEL_PROPERTIES)
        for _ in range(STEPS_PER_FRAME):
            state.clear_forces()
            solver.step(state, following, control, None, step)
            state, following = following, state
        viewer.begin_frame((frame + 1) / FRAME_RATE)
        viewer.log_state(state)
        viewer.end_frame()
        way.append(state.body_q.numpy()[-1, :3].copy())  # the object is the last body
    return np.array(way)


def main() -> None:
    """Synthesise, spawn, simulate, record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--hand", default="allegro", help="name of a shipped hand or path of a hand asset")
    parser.add_argument("--object", default="mug", help="shipped object: bottle, duck or mug")
    parser.add_argument("--grasps", type=int, default=8, help="grasps to choose the best from")
    parser.add_argument("--steps", type=int, default=1000, help="steps of the optimiser")
    parser.add_argument("--seconds", type=float, default=1.5, help="simulated time")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    # The asset carries mass, friction and convex collision pieces; its mesh is what the grasps are made for.
    config = AssetConfig(mass=0.1, friction=0.8)
    asset = make_object_asset(example_object_path(options.object), options.out / "assets", config=config)
    hand, model = load_hand(options.hand), load_object(asset.path)
    (grasps,) = synthesize(
        hand, [model], SynthesisConfig(grasp_count=options.grasps, step_count=options.steps)
    )
    best = grasps.best(1)
    best.save(options.out / "grasp.npz")
    print(f"The best of {len(grasps)} grasps has the energy {best.energy[0]:.2f}.")

    frame_count = round(options.seconds * FRAME_RATE)
    recording = options.out / "recording.usd"
    viewer = newton.viewer.ViewerUSD(str(recording), fps=FRAME_RATE, num_frames=frame_count)
    way = simulate(build_model(hand, best, asset.path), frame_count, viewer)
    viewer.close()
    moved = 1000.0 * np.linalg.norm(way - way[0], axis=1)
    free_fall = 0.5 * abs(GRAVITY) * max(options.seconds - CLOSING_TIME, 0.0) ** 2
    print(
        f"While the hand closed, the object moved by {moved[: round(CLOSING_TIME * FRAME_RATE) + 1].max():.1f} mm."
    )
    print(
        f"At the end it was {moved[-1]:.1f} mm from its start; without a hand it would have fallen {1000 * free_fall:.0f} mm."
    )
    print("The grasp holds." if moved[-1] < 50.0 else "The object was lost.")
    print(f"Recording: {recording}")


if __name__ == "__main__":
    main()
