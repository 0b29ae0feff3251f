"""Geometric quality of synthesised grasps, object by object, and how the optimisers and energies compare.

    python benchmarks/quality.py OBJECTS... --out quality/                       # MALA* and MALA, Allegro power
    python benchmarks/quality.py OBJECTS... --out quality/ --runs mala-star      # one run

Resumable: one JSON per object and run; a row carries the commit it was made at. Every number is computed from the saved
poses, independently of the kernels: penetration by 3000 object surface points against the hand's shapes in float64,
contact distances by trimesh, force closure (Q1 > 0) by SciPy's convex hull of the
wrenches of the contacts within 2 mm of the surface (friction 0.2, 8 edges, torques in units of 5/m).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_name
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.transform import Rotation

from warpgrasp.dataset import GraspSet
from warpgrasp.energy import ENERGY_PRESETS
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.objects import ObjectModel, load_object
from warpgrasp.optimizer import OptimizerMala, OptimizerMalaStar
from warpgrasp.synthesis import SynthesisConfig, synthesize

FRICTION, EDGES, TORQUE_WEIGHT, TOUCH = 0.2, 8, 5.0, 2e-3
COLUMNS = ("penetration_mm", "self_penetration_mm", "distance_mm", "touching", "force_closure", "energy")

RUNS: dict[str, SynthesisConfig] = {
    "mala-star": SynthesisConfig(),
    "mala": SynthesisConfig(optimizer=OptimizerMala()),
    "no-resets": SynthesisConfig(optimizer=OptimizerMalaStar(reset_threshold=1.0)),
    "no-temperature-scaling": SynthesisConfig(optimizer=OptimizerMalaStar(temperature_scaling=False)),
    "dexgraspnet": SynthesisConfig(energy=ENERGY_PRESETS["dexgraspnet"]()),
    "gendexgrasp": SynthesisConfig(energy=ENERGY_PRESETS["gendexgrasp"]()),
}


def penetration(hand: HandModel, model: ObjectModel, grasps: GraspSet) -> np.ndarray:
    """Largest depth of 3000 object surface points inside the hand [m], shape [N]."""
    points, _ = model.surface_samples(3000)
    result = np.zeros(len(grasps))
    shapes = [(int(hand.geometry_link[g]), hand.geometry_shape(g)) for g in range(len(hand.geometry_type))]
    for i in range(len(grasps)):
        position, quaternion = hand.forward_kinematics(
            grasps.root_position[i], grasps.root_quaternion[i], grasps.joint_position[i]
        )
        for link, shape in shapes:
            local = Rotation.from_quat(quaternion[link]).inv().apply(points - position[link])
            result[i] = max(result[i], float(-shape.signed_distance(local).min()))
    return result


def self_penetration(hand: HandModel, grasps: GraspSet) -> np.ndarray:
    """Largest overlap of two self-collision spheres [m], shape [N]."""
    pairs = hand.self_collision_pairs()
    reach = hand.sphere_radius[pairs[:, 0]] + hand.sphere_radius[pairs[:, 1]]
    result = np.zeros(len(grasps))
    for i in range(len(grasps)):
        center = hand.sphere_centers(
            grasps.root_position[i], grasps.root_quaternion[i], grasps.joint_position[i]
        )
        gap = np.linalg.norm(center[pairs[:, 0]] - center[pairs[:, 1]], axis=1)
        result[i] = max(0.0, float((reach - gap).max()))
    return result


def contact_distance(model: ObjectModel, grasps: GraspSet) -> np.ndarray:
    """Unsigned distance of the contacts to the mesh [m], shape [N, C], by trimesh in float64."""
    import trimesh

    # In millimetres: trimesh's tolerances are absolute and too coarse for objects of a few centimetres in metres.
    mesh = trimesh.Trimesh(1e3 * model.vertices, model.faces, process=False)
    points = 1e3 * grasps.contact_position.reshape(-1, 3).astype(np.float64)
    parts = np.array_split(points, 1 + len(points) * len(model.faces) // 1_000_000)
    distance = np.concatenate([1e-3 * trimesh.proximity.closest_point_naive(mesh, part)[1] for part in parts])
    return distance.reshape(grasps.contact_index.shape)


def force_closure(position: np.ndarray, normal: np.ndarray, center: np.ndarray) -> bool:
    """Whether the origin lies strictly inside the convex hull of the contacts' friction-cone wrenches (Q1 > 0)."""
    if len(position) < 2:
        return False
    inward = -normal / np.linalg.norm(normal, axis=1, keepdims=True)
    helper = np.where(np.abs(inward[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    tangent_u = np.cross(inward, helper)
    tangent_u /= np.linalg.norm(tangent_u, axis=1, keepdims=True)
    tangent_v = np.cross(inward, tangent_u)
    angle = 2.0 * np.pi * np.arange(EDGES) / EDGES
    tangent = (
        np.cos(angle)[None, :, None] * tangent_u[:, None] + np.sin(angle)[None, :, None] * tangent_v[:, None]
    )
    force = (inward[:, None] + FRICTION * tangent) / np.sqrt(1.0 + FRICTION**2)
    arm = TORQUE_WEIGHT * np.broadcast_to((position - center)[:, None], force.shape)
    wrenches = np.concatenate([force, np.cross(arm, force)], axis=2).reshape(-1, 6)
    try:
        hull = ConvexHull(wrenches)
    except QhullError:  # the wrenches do not span six dimensions
        return False
    return bool(np.all(hull.equations[:, -1] < -1e-9))


def row(hand: HandModel, path: Path, config: SynthesisConfig) -> dict[str, Any]:
    """Synthesise on one object and measure."""
    model = load_object(path)
    started = time.perf_counter()
    grasps = synthesize(hand, [model], config)[0]
    seconds = time.perf_counter() - started
    distance = contact_distance(model, grasps)
    touching = distance < TOUCH
    closed = [
        force_closure(
            grasps.contact_position[i][touching[i]].astype(np.float64),
            grasps.contact_normal[i][touching[i]].astype(np.float64),
            model.center_of_mass,
        )
        for i in range(len(grasps))
    ]
    return {
        "object": path.stem,
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout.strip(),
        "penetration_mm": float(1e3 * np.median(penetration(hand, model, grasps))),
        "self_penetration_mm": float(1e3 * np.percentile(self_penetration(hand, grasps), 90)),
        "distance_mm": float(1e3 * np.mean(distance)),
        "touching": float(np.mean(touching)),
        "force_closure": float(np.mean(closed)),
        "energy": float(np.median(grasps.energy)),
        "seconds": seconds,
    }


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("objects", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("quality"))
    parser.add_argument("--hand", default="allegro")
    parser.add_argument("--grasp-type", default="power")
    parser.add_argument("--contacts", type=int, default=12)
    parser.add_argument("--grasps", type=int, default=32)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--runs", nargs="*", default=["mala-star", "mala"], choices=sorted(RUNS))
    arguments = parser.parse_args()
    hand = load_hand(arguments.hand)
    summary = []
    for name in arguments.runs:
        config = replace(
            RUNS[name],
            grasp_type=arguments.grasp_type,
            contact_count=arguments.contacts,
            grasp_count=arguments.grasps,
            step_count=arguments.steps,
        )
        label = f"{arguments.hand}-{arguments.grasp_type}-{arguments.contacts}c-{arguments.grasps}g-{arguments.steps}s-{name}"
        rows = []
        for path in arguments.objects:
            cached = arguments.out / label / f"{path.stem}.json"
            if not cached.exists():
                cached.parent.mkdir(parents=True, exist_ok=True)
                cached.write_text(json.dumps(row(hand, path, config), indent=1))
            rows.append(json.loads(cached.read_text()))
        summary.append((name, rows))
        _print_rows(f"{arguments.hand}, {arguments.grasp_type}, {name}", rows)
    print(f"\n### Means over {len(arguments.objects)} objects, {machine_name()}\n")
    print("| run | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
    for name, rows in summary:
        print(f"| {name} | " + " | ".join(f"{np.mean([r[c] for r in rows]):.3g}" for c in COLUMNS) + " |")


def _print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    print(
        f"\n### {title}\n\n| object | "
        + " | ".join(COLUMNS)
        + " | commit |\n|---|"
        + "---|" * (len(COLUMNS) + 1)
    )
    for entry in rows:
        print(
            f"| {entry['object']} | "
            + " | ".join(f"{entry[c]:.3g}" for c in COLUMNS)
            + f" | {entry['commit']} |"
        )


if __name__ == "__main__":
    main()
