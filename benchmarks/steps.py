"""Steps against quality: what a run of so many steps is worth, and what it costs.

    python benchmarks/steps.py --optimizers mala-fast mala-star --steps 500 1500 7000          # Allegro, power
    python benchmarks/steps.py --grasp-type pinch --steps 1500 --grasps 16

Every optimiser and every number of steps makes ``--grasps`` grasps on each of the tuning objects of ``benchmarks/quality.py``;
nothing is measured on the others. The loop is clocked in CPU seconds. Success is that of the ``graspqp`` protocol at 5 N in
MuJoCo, of all grasps that were asked for, with Wilson's interval of 95 %. Finished runs are kept in ``--out``, a file of JSON
lines, and are not made again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from evaluate import TUNING_OBJECTS
from machine import machine_name
from outside_judge import wilson
from quality import physics

from warpgrasp.base.stage_clock import StageClock
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.eval.metrics.diversity import unique_rate
from warpgrasp.eval.metrics.geometry import penetration_depth
from warpgrasp.hands import load_hand
from warpgrasp.objects import load_object
from warpgrasp.synthesis.optimizer import OPTIMIZER_PRESETS
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

_KEY = ("hand", "grasp_type", "optimizer", "steps", "grasps")
_FORCE = 5.0  # N


def measure(key: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One row: success, statuses, energies, penetration and CPU time of a run over all tuning objects."""
    hand = load_hand(key["hand"])
    models = [load_object(folder / f"{name}.obj") for name in TUNING_OBJECTS]
    config = SynthesisConfig(
        grasp_type=key["grasp_type"],
        grasp_count=key["grasps"],
        step_count=key["steps"],
        optimizer=OPTIMIZER_PRESETS[key["optimizer"]](),
        device="cpu",
    )
    clock = StageClock()
    sets = synthesize(hand, models, config, clock=clock)
    held, unique, depth = [], [], []
    for model, grasps in zip(models, sets, strict=True):
        success = physics(hand, model, grasps, "graspqp", _FORCE)["graspqp_success"]
        poses = (grasps.root_position, grasps.root_quaternion, grasps.joint_position)
        held.append(success)
        unique.append(unique_rate(*poses, success.any(axis=1)))
        depth += [penetration_depth(hand, model, *pose) for pose in zip(*poses, strict=True)]
    success = np.concatenate(held)
    status = np.concatenate([grasps.status for grasps in sets])
    seconds = {name: spent["cpu"] for name, spent in clock.seconds().items()}
    return key | {
        "count": len(status),
        "succ1": int(success.any(axis=1).sum()),
        "succ3": int(success.all(axis=1).sum()),
        "unique": float(np.mean(unique)),
        "ok": float(np.mean(status == GraspStatus.OK)),
        "energy": np.quantile(np.concatenate([grasps.energy for grasps in sets]), [0.1, 0.5, 0.9]).tolist(),
        "penetration": float(np.mean(depth)),
        "loop": seconds["loop"] / len(status),
        "rest": sum(seconds[name] for name in ("seeds", "closing", "finishing")) / len(status),
    }


def table_row(row: dict[str, Any]) -> str:
    """A line of the table; success with its interval."""

    def share(name: str) -> str:
        low, high = wilson(row[name], row["count"])
        return f"{100 * row[name] / row['count']:.0f} [{100 * low:.0f}, {100 * high:.0f}]"

    energy = " / ".join(f"{value:.1f}" for value in row["energy"])
    cells = [
        *(str(row[name]) for name in _KEY[:4]),
        str(row["count"]),
        *(share(name) for name in ("succ1", "succ3")),
        *(f"{100 * row[name]:.0f}" for name in ("unique", "ok")),
        energy,
        *(f"{1e3 * row[name]:.2f}" for name in ("penetration",)),
        *(f"{1e3 * row[name]:.0f}" for name in ("loop", "rest")),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=Path, default=Path("../shared/objects"))
    parser.add_argument("--out", type=Path, default=Path("steps.jsonl"))
    parser.add_argument("--hand", default="allegro")
    parser.add_argument("--grasp-type", default="power")
    parser.add_argument(
        "--optimizers", nargs="+", default=list(OPTIMIZER_PRESETS), choices=list(OPTIMIZER_PRESETS)
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[1500, 7000])
    parser.add_argument("--grasps", type=int, default=16)
    options = parser.parse_args()
    quiet_warp()
    known = (
        [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    )
    print(f"{machine_name()}; graspqp at {_FORCE:g} N; energies are the 10, 50 and 90 % quantiles\n")
    print(
        "| hand | type | optimiser | steps | grasps | Succ1 % | Succ3 % | unique % | OK % | energy | penetration [mm] "
        "| loop [CPU ms / grasp] | rest |\n" + 13 * "|---" + "|"
    )
    for name in options.optimizers:
        for steps in options.steps:
            values = (options.hand, options.grasp_type, name, steps, options.grasps)
            key = dict(zip(_KEY, values, strict=True))
            row = next((row for row in known if all(row[name] == key[name] for name in _KEY)), None)
            if row is None:
                row = measure(key, options.objects)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            print(table_row(row), flush=True)


if __name__ == "__main__":
    main()
