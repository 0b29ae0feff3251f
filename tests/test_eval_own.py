"""An evaluation engine and a protocol of the user's own on the command line, from a module in the current directory."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from eval_runs import Run, robotiq_grasps

pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")

MODULE = """
import dataclasses

import numpy as np

from warpgrasp.eval.protocol.protocols import graspqp
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict

GENTLE = dataclasses.replace(graspqp, name="gentle", force=2.0, object_mass=0.05)
TWICE = dataclasses.replace(graspqp, force=2.0)


class Optimist:
    \"\"\"Every grasp holds.\"\"\"

    name = "my-optimist"

    def __init__(self, workers=0, device="auto"):
        self.workers, self.device = workers, device

    def evaluate(self, scene, targets, *, progress=None):
        assert scene.protocol.object_mass == 0.05
        trials = len(scene.protocol.trials)
        empty = Verdict.invalid(len(targets), trials)
        return dataclasses.replace(
            empty,
            trial_success=np.ones((len(targets), trials), dtype=bool),
            displacement=np.full((len(targets), trials), 0.01),
            effort_ratio=np.full(len(targets), 0.5),
            reason=np.full(len(targets), FailureReason.HOLDS, dtype=np.int32),
        )


class Nameless:
    def evaluate(self, scene, targets, *, progress=None): ...


class Stubborn(Optimist):
    def __init__(self):
        pass


class Impostor(Optimist):
    name = "newton"
"""


@pytest.fixture
def grasp_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "eval_for_this_test.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "eval_for_this_test", raising=False)
    monkeypatch.chdir(tmp_path)
    return robotiq_grasps(tmp_path / "run")[0]


def test_results_of_an_own_engine_and_protocol_have_a_folder_of_their_own(grasp_file: Path) -> None:
    run = Run(
        grasp_file, "--engine", "eval_for_this_test:Optimist", "--protocol", "eval_for_this_test:GENTLE"
    )
    assert run.code == 0, run.error
    assert "gentle: 2 N" in run.out
    assert "engine my-optimist" in run.out
    with open(grasp_file.parent / "evaluation" / "gentle-my-optimist" / "results.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["engine"], float(row["force"]), float(row["succ3"])) == ("my-optimist", 2.0, 1.0)
    assert "object 0.05 kg" in row["protocol"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "eval_for_this_test:Nameless"), "the class is called with workers=0 and device='auto'"),
        (("--engine", "eval_for_this_test:Stubborn"), "the class is called with workers=0 and device='auto'"),
        (("--engine", "eval_for_this_test:GENTLE"), "must have a name and a method evaluate"),
        (("--engine", "eval_for_this_test:Impostor"), "the name 'newton' stands in the names of folders"),
        (("--engine", "no_file:Engine"), "there is no module no_file in the current directory"),
        (
            ("--engine", "magic"),
            "unknown engine 'magic'; choose from auto, mujoco, newton, isaaclab, or my_module",
        ),
        (
            ("--protocol", "magic"),
            "must be one of graspqp, dexgraspbench, bodex-paper, or my_module:MY_PROTOCOL",
        ),
        (("--protocol", "eval_for_this_test:TWICE"), "the name 'graspqp' stands in the names of folders"),
        (
            ("--protocol", "eval_for_this_test:Optimist"),
            "must be a warpgrasp.eval.protocol.protocols.Protocol",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    grasp_file: Path, arguments: tuple[str, str], message: str
) -> None:
    run = Run(grasp_file, *arguments, width=1000)
    assert run.code == 2
    assert message in run.error
    assert len(run.error.strip().splitlines()) == 1
