"""The scripts of ``examples/`` run as a user runs them, with small settings, and say and write what they promise."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Run:
    """Arguments of a script, what must be installed, and what it must leave behind."""

    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    says: str = ""


RUNS = {
    "synthesize_and_look": Run(
        arguments=("--steps", "400", "--grasps", "4"),
        writes=("mug.npz", "mug.usda", "gallery.png"),
        says="of 4 grasps of allegro on mug have the status OK.",
    ),
    "differentiate": Run(
        arguments=("--grasps", "4", "--steps", "20"),
        writes=("gradient.csv",),
        says="Along the negative gradient the mean energy falls",
    ),
    "own_hand": Run(
        arguments=("--steps", "300", "--grasps", "4"),
        writes=("gripper.urdf", "gripper/hand.usda", "gripper/report.md", "duck.npz", "gallery.png"),
        says="gripper.urdf became a hand with 6 joints, the fingers palm, thumb, index, middle",
    ),
    "evaluate_own_protocol": Run(
        arguments=("--steps", "600", "--grasps", "4"),
        needs=("mujoco", "coacd"),
        writes=("mug.npz", "pick-up.npz", "graspqp.npz"),
        says="of 4 grasps hold in the trial 'upright'.",
    ),
    "newton_hold": Run(
        arguments=("--steps", "600", "--seconds", "0.7"),
        needs=("newton", "mujoco", "coacd"),
        writes=("recording.usd", "grasp.npz"),
        says="The grasp holds.",
    ),
    "waypoints": Run(
        arguments=("--steps", "300", "--grasps", "4"),
        writes=("way.png",),
        says="mm clear on the way to the next.",
    ),
    "own_energy": Run(says="With a wanted height of -30 mm: the contacts of 4 grasps lie"),
}


def test_every_example_is_run() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_example(name: str, tmp_path: Path) -> None:
    run = RUNS[name]
    missing = [module for module in run.needs if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"examples/{name}.py needs {', '.join(missing)} (extra 'sim')")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), str(tmp_path), *run.arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert run.says in done.stdout
    for file in run.writes:
        assert (tmp_path / file).stat().st_size > 0, file
