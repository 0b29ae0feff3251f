"""How grasps hold under DexGraspBench's own program, and how our protocol of that name agrees with it, grasp by grasp.

    python benchmarks/outside_judge.py RUN --program DexGraspBench --python ENV/bin/python
    python benchmarks/outside_judge.py RUN --program DexGraspBench --python ENV/bin/python --friction 0.3 --json out.json

``--program`` is a checkout of https://github.com/JYChen18/DexGraspBench with its submodule of the MuJoCo Menagerie,
``--python`` an interpreter that runs it: numpy below 2 (with numpy 2 it evaluates nothing and says so only in its log), mujoco
3.3.2, hydra-core, trimesh, transforms3d, scikit-learn, torch, imageio, matplotlib, usd-core and qpsolvers[clarabel]. Its 400
example grasps tell whether it runs: with ``task.max_num=60`` 38 hold. Nothing of it is part of this repository.

Every grasp of RUN is exported, whatever its status, and counts. Hands: Allegro, Shadow, LEAP. Our protocol runs twice, with the
model of the hand that the program uses (``python -m warpgrasp.evaluate --hand-model``) and with ours: that tells apart how the
protocols differ and how the hands do.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import tyro

from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.export import export_grasps
from warpgrasp.grasps.case import grasp_files, load_case
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.retarget import retarget

HANDS = {"allegro": "allegro", "shadow": "shadow", "shadow_wristless": "shadow", "leap": "leap"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Compare our ``dexgraspbench`` with the original program."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Grasp files or folders of python -m warpgrasp.generate, of one hand."""
    program: Path
    """Checkout of DexGraspBench."""
    python: Path
    """Interpreter of an environment that runs it."""
    friction: float = 0.6
    """Sliding friction; torsional friction is a thirtieth of it."""
    workers: int = 1
    """Processes of the program and threads of ours."""
    retarget: bool = False
    """Make pregrasps and squeezes of the grasps anew first."""
    ours: bool = True
    """Run our protocol too."""
    json: Path | None = None
    """Write the verdict on every grasp there."""


def wilson(count: int, total: int) -> tuple[float, float]:
    """95 % interval of a share [Wilson 1927]."""
    z = 1.959964
    share, spread = count / total, z * z / total
    middle = (share + 0.5 * spread) / (1.0 + spread)
    half = z * np.sqrt(share * (1.0 - share) / total + z * z / (4.0 * total**2)) / (1.0 + spread)
    return middle - half, middle + half


def kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Cohen's kappa of two verdicts."""
    agree = np.mean(first == second)
    chance = np.mean(first) * np.mean(second) + np.mean(~first) * np.mean(~second)
    return float("nan") if chance == 1.0 else float((agree - chance) / (1.0 - chance))


def original(folder: Path, hand: str, options: Options) -> dict[str, bool]:
    """Verdicts of the program on an exported folder: ``object/id`` -> holds."""
    command = [
        str(options.python.absolute()),
        "src/main.py",
        "task=eval",
        f"hand={hand}",
        f"n_worker={options.workers}",
        f"save_dir={folder.resolve()}",
        f"task.miu_coef=[{options.friction},{options.friction / 30.0}]",
        "task.analytic_fc_metrics=null",
        "task.pene_contact_metrics=null",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=options.program, env=environment, capture_output=True, text=True)
    text = "import glob, json, sys, numpy\nprint(json.dumps({p: bool(numpy.load(p, allow_pickle=True).item()['succ_flag'])"
    text += " for p in glob.glob(sys.argv[1] + '/**/*.npy', recursive=True)}))"
    found = subprocess.run(
        [str(options.python.absolute()), "-c", text, str(folder / "evaluation")],
        capture_output=True,
        text=True,
        check=True,
    )
    verdicts = {
        f"{Path(path).parent.parent.name}/{Path(path).stem}": held
        for path, held in json.loads(found.stdout).items()
    }
    expected = len(list((folder / "graspdata").rglob("*.npy")))
    if len(verdicts) != expected:
        raise RuntimeError(
            f"{len(verdicts)} of {expected} grasps evaluated:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return verdicts


def own(files: list[Path], options: Options, hand_file: Path | None) -> dict[str, bool]:
    """Verdicts of our protocol, on a model of the hand that a file describes or on our own."""
    protocol = dataclasses.replace(
        PROTOCOLS["dexgraspbench"], friction=options.friction, torsional_friction=options.friction / 30.0
    )
    engine = load_engine("mujoco", workers=options.workers)
    result = {}
    for file in files:
        case = load_case(file)
        scene = build_scene(case.hand, case.model, convex_pieces(case.model), protocol, hand_file=hand_file)
        targets = hand_targets(
            case.hand, case.grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort
        )
        held = engine.evaluate(scene, targets).trial_success.all(axis=1)
        result.update({f"{file.stem}/{row:04d}": bool(value) for row, value in enumerate(held)})
    return result


def compare(label: str, theirs: dict[str, bool], ours: dict[str, bool]) -> None:
    """Print how two sets of verdicts agree."""
    names = sorted(theirs)
    first, second = (np.array([verdicts[name] for name in names]) for verdicts in (theirs, ours))
    print(
        f"{label}: {np.sum(second)} of {len(names)} hold ({100 * np.mean(second):.1f} %), "
        f"same verdict {100 * np.mean(first == second):.1f} %, kappa {kappa(first, second):.2f}; "
        f"only theirs {np.sum(first & ~second)}, only ours {np.sum(~first & second)}"
    )


def main() -> None:
    """Export, judge twice, compare."""
    options = tyro.cli(Options)
    files = grasp_files(list(options.runs))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.retarget:
            for file in files:
                case = load_case(file)
                made = retarget(case.hand, case.model, case.grasps, grasp_type=case.grasp_type)
                made.save(folder / "run" / file.name)
            files = grasp_files([folder / "run"])
        hand = load_case(files[0]).hand.name
        exported = export_grasps(files, folder / "out", format="dexgraspbench", every_status=True)
        total = sum(len(load_case(file).grasps) for file in files)
        theirs = original(folder / "out", HANDS[hand], options)
        count = sum(theirs.values())
        low, high = wilson(count, total)
        print(
            f"{hand}, friction {options.friction:g}: DexGraspBench {count} of {total} requested grasps hold "
            f"({exported.grasp_count} exported), {100 * count / total:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        )
        ours = {}
        if options.ours:
            theirs_file = options.program / "assets" / "hand" / HANDS[hand] / "right_hand.xml"
            for model, file in (("its hand", theirs_file), ("our hand", None)):
                ours[model] = own(files, options, file)
                compare(f"our protocol on {model}", theirs, ours[model])
    if options.json is not None:
        rows = {
            name: {"original": held, **{model: verdicts[name] for model, verdicts in ours.items()}}
            for name, held in theirs.items()
        }
        options.json.write_text(
            json.dumps({"hand": hand, "friction": options.friction, "grasps": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
