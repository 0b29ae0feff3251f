"""CPU time of the metrics of an evaluation, per grasp and one by one.

Run from the root of the repository: 16 Allegro power grasps (1000 steps) on each object::

    python benchmarks/metrics.py [--objects FOLDER]
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from machine import machine_name

from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.evaluation import simulation_displacement
from warpgrasp.eval.metrics.geometry import (
    contact_area,
    contact_distance_consistency,
    intersection_volume,
    penetration_depth,
    self_penetration_depth,
    surface_metrics,
)
from warpgrasp.eval.metrics.wrench import contact_wrenches, wrench_space_qualities
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.objects import ObjectModel, load_object
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """CPU time of the metrics."""

    objects: Path = Path("../shared/objects")
    """Folder of the meshes."""
    names: tuple[str, ...] = ("os_coffeemug", "ycb_011_banana")
    """Objects."""
    grasps: int = 16


def work_of(hand: HandModel, model: ObjectModel, grasps: GraspSet) -> dict[str, Callable[[], Any]]:
    """What an evaluation computes, by name."""
    engine = load_engine("mujoco", workers=1)
    pose = (grasps.root_position, grasps.root_quaternion, grasps.joint_position)
    contacts = zip(grasps.contact_position, grasps.contact_normal, strict=True)
    wrenches = [contact_wrenches(*contact, model.center_of_mass, friction=0.2) for contact in contacts]
    work: dict[str, Callable[[], Any]] = {}
    for protocol in PROTOCOLS.values():
        scene = build_scene(hand, model, convex_pieces(model), protocol)
        targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness)
        work[f"simulation: {protocol.name}"] = partial(engine.evaluate, scene, targets)
        if protocol.name == "graspqp":
            work["simulation_displacement"] = partial(simulation_displacement, engine, scene, targets)
    measures = (
        surface_metrics,
        penetration_depth,
        contact_area,
        contact_distance_consistency,
        intersection_volume,
    )
    for function in measures:
        work[function.__name__] = partial(function, hand, model, *pose)
    work["self_penetration_depth"] = partial(self_penetration_depth, hand, pose[2])
    work["wrench_space_qualities"] = lambda: [wrench_space_qualities(wrench) for wrench in wrenches]
    return work


def main() -> None:
    """Synthesise, time, print one table."""
    options = tyro.cli(Options)
    hand = load_hand("allegro")
    rows: dict[str, list[float]] = {}
    for name in options.names:
        model = load_object(options.objects / f"{name}.obj")
        (grasps,) = synthesize(hand, [model], SynthesisConfig(grasp_count=options.grasps, step_count=1000))
        for label, run in work_of(hand, model, grasps).items():
            run()  # caches and kernels
            began = time.process_time()
            run()
            rows.setdefault(label, []).append(1e3 * (time.process_time() - began) / len(grasps))
    print(f"ms of one core per grasp; machine: {machine_name()}\n")
    print(f"| | {' | '.join(options.names)} |\n|---|{'---|' * len(options.names)}")
    for label, values in rows.items():
        print(f"| {label} | {' | '.join(f'{value:.1f}' for value in values)} |")


if __name__ == "__main__":
    main()
