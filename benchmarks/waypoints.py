"""How many hands get away from the object clear of it: waypoints, and the straight way from a hand drawn back by ``approach``.

    python -m warpgrasp.generate OBJECTS --grasps 32 --candidates 1 --out RUN
    python benchmarks/waypoints.py RUN [--mujoco 16]

Of every grasp of the run the pregrasp and the way to it are made anew. The table counts, object by object, pregrasps that
are clear, those of them that are withdrawn by 95 % of the way asked for, and those that besides stay 2 mm clear on every leg;
and the hands drawn back by ``--targets.pregrasp approach`` that come straight to the grasp without pressing 0.75 mm into the
object before nine tenths of the way. ``--mujoco N`` compares the clearances of the legs of the first N grasps of every object
with ``mj_geomDistance`` between the shapes of MuJoCo's model of hand and object, at five places of each leg.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
from pathlib import Path

import numpy as np
from case_problem import problem_of, state_of
from numpy.typing import NDArray

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.export import export_grasps
from warpgrasp.grasps.case import GraspCase, grasp_files, load_case
from warpgrasp.synthesis.closing_path import EARLY_DEPTH, early_depth
from warpgrasp.synthesis.pregrasp import pregrasp
from warpgrasp.synthesis.retarget import retarget
from warpgrasp.synthesis.target_config import TargetConfig

_FAR, _CLEAR = 0.95, 0.002  # of the way asked for; m
_PLACES = 5  # on each leg


def counts(case: GraspCase, config: TargetConfig) -> NDArray[np.int64]:
    """Grasps, clear pregrasps, those that get far, those that do so clear of the object, and straight ways of ``approach``."""
    grasps = case.grasps
    problem = problem_of(case)
    state = state_of(problem, case)
    problem.evaluate(state)
    clear = pregrasp(problem, state, config).clear
    drawn_back = pregrasp(problem, state, TargetConfig(pregrasp="approach"))
    straight = early_depth(problem, state, drawn_back) <= EARLY_DEPTH
    made = retarget(case.hand, case.model, grasps, config, grasp_type=case.grasp_type, device="cpu")
    way = np.linalg.norm(made.waypoint_root_position[:, 0] - made.pregrasp_root_position, axis=1)
    far = clear & (way > _FAR * config.withdrawal)
    away = far & (made.waypoint_clearance.min(axis=1) >= _CLEAR)
    return np.array([len(grasps), clear.sum(), far.sum(), away.sum(), straight.sum()])


def mujoco_differences(path: Path, case: GraspCase, config: TargetConfig, count: int) -> list[float]:
    """Differences [m] between the clearances of the legs in the file and MuJoCo's, both at most the clearance asked for."""
    import mujoco

    first = case.grasps.select(np.arange(min(count, len(case.grasps))))
    made = retarget(case.hand, case.model, first, config, grasp_type=case.grasp_type, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run").mkdir()
        file = made.save(Path(folder) / "run" / path.name)
        (scene,) = export_grasps([file], Path(folder) / "out", format="mjcf", every_status=True).paths
        model = mujoco.MjModel.from_xml_path(str(scene))
    data = mujoco.MjData(model)
    solid = [geom for geom in range(model.ngeom) if model.geom_contype[geom]]
    of_object = [geom for geom in solid if model.body(model.geom_bodyid[geom]).name == "object"]
    of_hand = [geom for geom in solid if geom not in of_object]
    result = []
    for row, number in itertools.product(range(len(made)), range(config.waypoints)):
        following = f"waypoint_{number + 1}" if number + 1 < config.waypoints else "pregrasp"
        begin, end = (
            model.key(f"{name}_{row:04d}").qpos.copy() for name in (f"waypoint_{number}", following)
        )
        nearest = config.clearance
        for share in np.linspace(0.0, 1.0, _PLACES):
            data.qpos[:] = (1.0 - share) * begin + share * end
            mujoco.mj_kinematics(model, data)
            for one, other in itertools.product(of_object, of_hand):
                nearest = min(
                    nearest, mujoco.mj_geomDistance(model, data, one, other, config.clearance, None)
                )
        result.append(nearest - float(made.waypoint_clearance[row, number]))
    return result


def main() -> None:
    """Print the tables of every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--withdrawal", type=float, default=0.1)
    parser.add_argument("--mujoco", type=int, default=0)
    options = parser.parse_args()
    quiet_warp()
    config = dataclasses.replace(TargetConfig(), withdrawal=options.withdrawal)
    for run in options.runs:
        print(f"\n{run}\n\n| object | grasps | pregrasp clear | far | far and clear | straight by approach |")
        print("|---|---|---|---|---|---|")
        rows, differences = [], []
        for path in grasp_files([run]):
            case = load_case(path)
            rows.append(counts(case, config))
            print(f"| {path.stem} | {' | '.join(map(str, rows[-1]))} |", flush=True)
            if options.mujoco:
                differences += mujoco_differences(path, case, config, options.mujoco)
        print(f"| together | {' | '.join(map(str, np.sum(rows, axis=0)))} |")
        if differences:
            apart = 1e3 * np.abs(differences)
            print(
                f"\nMuJoCo, {len(apart)} legs: {apart.mean():.2f} mm apart in the mean, {apart.max():.2f} at most."
            )


if __name__ == "__main__":
    main()
