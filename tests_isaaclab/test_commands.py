"""Isaac Lab's own commands find the tasks, train them on Newton without Isaac Sim and play the checkpoint."""

import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import warpgrasp.eval.isaaclab as registration

TASK = "WarpGrasp-Grasp-Robotiq2f140"
SMALL = ["--rl_library", "rsl_rl", "--device", "cpu", "--num_envs", "4"]


def _command(arguments, folder):
    """The console script ``isaaclab`` of this environment."""
    script = Path(sys.executable).parent / "isaaclab"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [str(script), *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        # Tests that a shell runs in the background ignore interrupts, and what they start would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _finished(arguments, folder):
    process = _command(arguments, folder)
    output, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, output[-4000:]
    return output


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a training of two iterations, and what it printed."""
    folder = tmp_path_factory.mktemp("isaaclab")
    words = ["train", "--task", TASK, *SMALL, "--max_iterations", "2"]
    overrides = [
        "env.push_force=3.5",
        "env.sim.physics.solver_cfg.ls_iterations=20",
        "agent.num_steps_per_env=6",
    ]
    return folder, _finished([*words, *overrides], folder)


def test_the_package_declares_its_tasks():
    """Also where the package was installed before it did: then install it again."""
    found = importlib.metadata.entry_points(group="isaaclab.tasks")
    assert "warpgrasp.eval.isaaclab" in {entry.value for entry in found}


def test_list_envs_lists_every_task(tmp_path):
    output = _finished(["list_envs", "--keyword", "WarpGrasp"], tmp_path)
    for name, (task, _) in registration.environment_ids().items():
        row = next(line for line in output.splitlines() if f" {name} " in line)
        assert ("rsl_rl" in row) == (task != "Evaluate")
        assert ("skrl" in row) == (task in ("Grasp", "Lift", "GraspManaged", "LiftManaged"))


def test_train_takes_overrides_and_needs_no_isaac_sim(trained):
    folder, output = trained
    assert "Learning iteration 1/2" in output
    run = next((folder / "logs" / "rsl_rl" / "warpgrasp_grasp").iterdir())
    assert (run / "model_1.pt").exists()
    text = (run / "params" / "env.yaml").read_text()
    assert "push_force: 3.5" in text
    assert "ls_iterations: 20" in text
    assert "num_steps_per_env: 6" in (run / "params" / "agent.yaml").read_text()


def test_play_plays_the_checkpoint(trained):
    """It plays until it is interrupted, and has then exported the policy."""
    folder, _ = trained
    run = next((folder / "logs" / "rsl_rl" / "warpgrasp_grasp").iterdir())
    process = _command(["play", "--task", TASK, *SMALL, "--checkpoint", "latest"], folder)
    watchdog = threading.Timer(1200.0, process.kill)
    watchdog.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Policy playback is running" in line:
            threading.Timer(3.0, process.send_signal, [signal.SIGINT]).start()
    watchdog.cancel()
    output = "".join(lines)
    assert process.wait() == 0, output[-4000:]
    assert "Policy playback is running" in output, output[-4000:]
    assert (run / "exported" / "policy.pt").exists()
