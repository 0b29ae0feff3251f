"""Quality of synthesised grasps, in geometry and in physics, and how optimisers and energies compare.

    python benchmarks/quality.py ../shared/objects/*.obj --out quality/                     # the defaults, Allegro power
    python benchmarks/quality.py ../shared/objects/*.obj --out quality/ --hand shadow_wristless
    python benchmarks/quality.py --out quality/ --table                        # the tables of everything measured so far

Resumable: grasps and results of an object are files under ``--out``; a row carries the commit it was made at. Every number
comes from the saved poses through ``warpgrasp.eval``, whose kernels are tested against computations on the host, or through
trimesh. The denominator is the grasps requested. Physics: MuJoCo, ``graspqp`` protocol at ``--force``, and with
``--dexgraspbench`` that one too. Objects are split into the nine on which hyper-parameters were chosen and the others.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh
from evaluate import TUNING_OBJECTS
from machine import machine_name

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.metrics.diversity import grasp_entropy, pose_unique_rate, unique_rate
from warpgrasp.eval.metrics.geometry import penetration_depth, self_penetration_depth
from warpgrasp.eval.metrics.wrench import contact_wrenches, epsilon_quality
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.objects import ObjectModel, load_object
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_terms import ForceClosure
from warpgrasp.synthesis.methods import exchange_closure, method_config
from warpgrasp.synthesis.optimizer import OptimizerMala, OptimizerMalaStar
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

FRICTION, TOUCH = 0.2, 2e-3
"""Friction of the force-closure test; contacts nearer than this [m] count."""

DEFAULT_RUNS = ("default", "mala-star")
"""The defaults, of today and of the time when a row was made."""

RUNS: dict[str, SynthesisConfig] = {
    "default": method_config(),
    "mala-fast": SynthesisConfig(),
    "mala-star": SynthesisConfig(optimizer=OptimizerMalaStar()),
    "mala": SynthesisConfig(optimizer=OptimizerMala()),
    "published-resets": SynthesisConfig(optimizer=OptimizerMalaStar(reset_threshold=0.8413)),
    "no-resets": SynthesisConfig(optimizer=OptimizerMalaStar(reset_threshold=1.0)),
    "no-temperature-scaling": SynthesisConfig(optimizer=OptimizerMalaStar(temperature_scaling=False)),
    "no-singular-values": SynthesisConfig(
        energy=EnergyConfig(force_closure=ForceClosure(factor=SingularValueForm.NONE))
    ),
    "dexgraspnet": SynthesisConfig(
        energy=exchange_closure(EnergyConfig(), method_config("dexgraspnet").energy)
    ),
    "gendexgrasp": SynthesisConfig(
        energy=exchange_closure(EnergyConfig(), method_config("gendexgrasp").energy)
    ),
}


_COLUMNS = (
    "OK %",
    "Succ1 %",
    "Succ3 %",
    "unique %",
    "by pose %",
    "H",
    "H pooled",
    "dexgraspbench %",
    "penetration mean / median mm",
    "self p90 mm",
    "mean d mm",
    "touching %",
    "Q1 > 0 %",
    "too deep %",
    "energy",
    "commit",
)
_LABEL = re.compile(r"(?P<hand>\w+)-(?P<type>\w+)-(?P<contacts>\d+)c-\d+g-\d+s-(?P<run>[\w-]+)")


def geometry(hand: HandModel, model: ObjectModel, grasps: GraspSet) -> dict[str, np.ndarray]:
    """Penetration and self penetration [m], contact distance [m] and force closure of the touching contacts."""
    poses = list(zip(grasps.root_position, grasps.root_quaternion, grasps.joint_position, strict=True))
    distance = _contact_distance(model, grasps)
    closed = np.zeros(len(grasps), dtype=bool)
    for i in range(len(grasps)):
        touching = distance[i] < TOUCH
        if touching.sum() > 1:
            wrenches = contact_wrenches(
                grasps.contact_position[i][touching],
                grasps.contact_normal[i][touching],
                model.center_of_mass,
                friction=FRICTION,
            )
            closed[i] = epsilon_quality(wrenches) > 0.0
    return {
        "penetration": np.array([penetration_depth(hand, model, *pose) for pose in poses]),
        "self_penetration": np.array([self_penetration_depth(hand, pose[2]) for pose in poses]),
        "distance": distance,
        "force_closure": closed,
    }


def _contact_distance(model: ObjectModel, grasps: GraspSet) -> np.ndarray:
    """Unsigned distance of the contacts to the mesh [m], shape [N, C], by trimesh in float64."""
    # In millimetres: trimesh's tolerances are absolute and too coarse for objects of a few centimetres in metres.
    mesh = trimesh.Trimesh(1e3 * model.vertices, model.faces, process=False)
    points = 1e3 * grasps.contact_position.reshape(-1, 3).astype(np.float64)
    parts = np.array_split(points, 1 + len(points) * len(model.faces) // 1_000_000)
    distance = np.concatenate([1e-3 * trimesh.proximity.closest_point_naive(mesh, part)[1] for part in parts])
    return distance.reshape(grasps.contact_index.shape)


def physics(
    hand: HandModel, model: ObjectModel, grasps: GraspSet, protocol_name: str, force: float | None
) -> dict[str, np.ndarray]:
    """Success of every trial [N, T], largest effort ratio [N] and reason [N] under a protocol."""
    protocol = PROTOCOLS[protocol_name]
    if force is not None:
        protocol = protocol.with_force(force)
    scene = build_scene(hand, model, convex_pieces(model), protocol)
    targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness)
    verdict = load_engine("mujoco").evaluate(scene, targets)
    return {
        f"{protocol_name}_success": verdict.trial_success,
        f"{protocol_name}_effort": verdict.effort_ratio,
        f"{protocol_name}_reason": verdict.reason,
    }


def measure(
    path: Path, folder: Path, hand: HandModel, options: argparse.Namespace, config: SynthesisConfig
) -> None:
    """Make what is missing of one object: the grasps, their geometry, their physics."""
    grasp_file, result_file = folder / f"{path.stem}.npz", folder / "results" / f"{path.stem}.npz"
    wanted = [] if options.no_physics else ["graspqp"] + ["dexgraspbench"] * options.dexgraspbench
    result: dict[str, np.ndarray] = {}
    if result_file.exists():
        with np.load(result_file) as stored:
            result = dict(stored)
    missing = [name for name in wanted if f"{name}_success" not in result]
    if "penetration" in result and not missing:
        return
    model = load_object(path)
    if not grasp_file.exists():
        synthesize(hand, [model], config)[0].save(grasp_file)
    grasps = GraspSet.load(grasp_file)
    if "penetration" not in result:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        result |= geometry(hand, model, grasps) | {"commit": np.array(commit.stdout.strip())}
    for name in missing:
        result |= physics(hand, model, grasps, name, options.force if name == "graspqp" else None)
    result_file.parent.mkdir(exist_ok=True)
    np.savez(result_file, **result)


def summarize(folder: Path, names: Sequence[str], hand: HandModel) -> dict[str, str]:
    """Cells of one row over the grasps of several objects."""
    sets = [GraspSet.load(folder / f"{name}.npz") for name in names]
    results = [dict(np.load(folder / "results" / f"{name}.npz")) for name in names]

    def column(name: str) -> np.ndarray:
        return np.concatenate([result[name] for result in results])

    depth = 1e3 * column("penetration")
    status = np.concatenate([grasps.status for grasps in sets])
    cells = {
        "OK %": f"{100 * np.mean(status == GraspStatus.OK):.0f}",
        "energy": f"{np.median(np.concatenate([grasps.energy for grasps in sets])):.2f}",
        "penetration mean / median mm": f"{depth.mean():.2f} / {np.median(depth):.2f}",
        "self p90 mm": f"{1e3 * np.percentile(column('self_penetration'), 90):.2f}",
        "mean d mm": f"{1e3 * column('distance').mean():.2f}",
        "touching %": f"{100 * (column('distance') < TOUCH).mean():.0f}",
        "Q1 > 0 %": f"{100 * column('force_closure').mean():.0f}",
    }
    if all("graspqp_success" in result for result in results):
        success = column("graspqp_success")
        poses = [
            [getattr(g, n) for g in sets] for n in ("root_position", "root_quaternion", "joint_position")
        ]
        held = [result["graspqp_success"].any(axis=1) for result in results]
        unique = [unique_rate(*(part[i] for part in poses), held[i]) for i in range(len(sets))]
        by_pose = [pose_unique_rate(poses[0][i], poses[1][i], held[i]) for i in range(len(sets))]
        limits = {"joint_lower": hand.dof_lower, "joint_upper": hand.dof_upper}
        # The paper's H is that of one object, averaged; a pooled histogram grows with the number of objects.
        entropy = [grasp_entropy(*(part[i][held[i]] for part in poses), **limits) for i in range(len(sets))]
        pooled = grasp_entropy(*(np.concatenate(part)[success.any(axis=1)] for part in poses), **limits)
        cells |= {
            "Succ1 %": f"{100 * success.any(axis=1).mean():.1f}",
            "Succ3 %": f"{100 * success.all(axis=1).mean():.1f}",
            "unique %": f"{100 * np.mean(unique):.1f}",
            "by pose %": f"{100 * np.mean(by_pose):.1f}",
            "H": f"{np.nanmean(entropy) if any(mask.any() for mask in held) else np.nan:.2f}",
            "H pooled": f"{pooled:.2f}",
            "too deep %": f"{100 * (column('graspqp_reason') == FailureReason.PENETRATION).mean():.1f}",
        }
    if all("dexgraspbench_success" in result for result in results):
        cells["dexgraspbench %"] = f"{100 * column('dexgraspbench_success').all(axis=1).mean():.1f}"
    return cells | {"commit": "/".join(sorted({str(result["commit"]) for result in results}))}


def _table(rows: dict[str, dict[str, str]], first: str) -> None:
    known = [column for column in _COLUMNS if any(column in cells for cells in rows.values())]
    print(f"| {first} | " + " | ".join(known) + " |\n|---|" + "---|" * len(known))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells.get(column, "") for column in known) + " |", flush=True)


def _splits(names: Sequence[str]) -> dict[str, list[str]]:
    return {
        "tuning": [name for name in names if name in TUNING_OBJECTS],
        "reporting": [name for name in names if name not in TUNING_OBJECTS],
    }


def print_tables(out: Path) -> None:
    """What has been measured: one row per hand, grasp type and split; the default against other runs; object by object."""
    folders = {
        folder: label
        for folder in sorted(out.iterdir())
        if (label := _LABEL.fullmatch(folder.name)) is not None
    }
    names = {folder: _measured(folder) for folder in folders}
    default = {folder: label for folder, label in folders.items() if label["run"] in DEFAULT_RUNS}
    rows: dict[str, dict[str, str]] = {}
    for folder, label in default.items():
        for split, members in _splits(names[folder]).items():
            if members:
                title = "{hand}, {type}, {contacts} contacts".format(**label.groupdict())
                rows[f"{title}, {len(members)} {split}"] = summarize(
                    folder, members, load_hand(label["hand"])
                )
    _table(rows, "hand, grasp type, contacts, objects")
    for folder, label in default.items():
        prefix = folder.name.removesuffix(label["run"])
        others = [other for other in folders if other.name.startswith(prefix) and other != folder]
        if others:
            hand = load_hand(label["hand"])
            common = sorted(set(names[folder]).intersection(*(names[other] for other in others)))
            print(f"\n### Runs, {prefix.rstrip('-')}, {', '.join(common)}\n")
            _table({folders[f]["run"]: summarize(f, common, hand) for f in [folder, *others]}, "run")
    for folder, label in default.items():
        hand = load_hand(label["hand"])
        print(f"\n### Object by object, {folder.name}\n")
        _table({name: summarize(folder, [name], hand) for name in names[folder]}, "object")


def _measured(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "results").glob("*.npz"))


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("objects", type=Path, nargs="*")
    parser.add_argument("--out", type=Path, default=Path("quality"))
    parser.add_argument("--hand", default="allegro")
    parser.add_argument("--grasp-type", default="power")
    parser.add_argument("--contacts", type=int, default=12)
    parser.add_argument("--grasps", type=int, default=32)
    parser.add_argument("--steps", type=int, default=SynthesisConfig().step_count)
    parser.add_argument("--force", type=float, default=5.0)
    parser.add_argument("--runs", nargs="*", default=["default"], choices=sorted(RUNS))
    parser.add_argument("--no-physics", action="store_true")
    parser.add_argument("--dexgraspbench", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print_tables(options.out)
        return
    if not options.objects:
        parser.error("name at least one object mesh, or ask for --table")
    hand = load_hand(options.hand)
    names = [path.stem for path in options.objects]
    means: dict[str, dict[str, str]] = {}
    for run in options.runs:
        config = replace(
            RUNS[run],
            grasp_type=options.grasp_type,
            contact_count=options.contacts,
            grasp_count=options.grasps,
            step_count=options.steps,
        )
        label = f"{options.hand}-{options.grasp_type}-{options.contacts}c-{options.grasps}g-{options.steps}s-{run}"
        folder = options.out / label
        folder.mkdir(parents=True, exist_ok=True)
        for path in options.objects:
            measure(path, folder, hand, options, config)
        print(f"\n### {options.hand}, {options.grasp_type}, {run}\n")
        _table({name: summarize(folder, [name], hand) for name in names}, "object")
        for split, members in _splits(names).items():
            if members:
                means[f"{run}, {len(members)} {split} objects"] = summarize(folder, members, hand)
    print(
        f"\n### Means, {options.hand}, {options.grasp_type}, {options.contacts} contacts, {options.force:g} N\n"
    )
    print(f"Machine: {machine_name()}.\n")
    _table(means, "run")


if __name__ == "__main__":
    main()
