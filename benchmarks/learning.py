"""Does a policy that sees beat the open-loop squeeze? PPO on the Grasp task, three seeds, on the CPU.

``python benchmarks/learning.py`` trains each seed in a process of its own, then plays the open-loop squeeze (zero
actions), every policy and the *replay* of every policy, its mean action at each time step without looking, on the same
held-out episodes. Whatever is finished in the folder is kept. Numbers go to ``results.json``, the picture to
``docs/images/learning_robotiq_2f140.png``. Needs Isaac Lab (``pip install "warpgrasp[isaaclab]" matplotlib tensorboard``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

TASK = "WarpGrasp-Grasp-Robotiq2f140"
CONE = "elliptic"
SETUP: dict[str, float] = {
    "wrist": 1.0,
    "finger_actions": 1.0,
    "push_force": 1.0,
    "position_noise": 0.015,
    "angle_noise": 0.2,
    "contact_limit": 24.0,
    "torsional_friction": 0.02,
    "episode_length_s": 1.2,
    "wrist_position_scale": 0.003,
    "wrist_angle_scale": 0.02,
    "joint_action_scale": 0.2,
    "joint_action_rate": 0.15,
}
"""Options of the environment: the object lies up to 1.5 cm and 0.2 rad from where the hand expects it."""
_SMOOTH = 5  # iterations averaged in the picture


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train, play, draw."""

    folder: Path = Path("build/learning")
    """Checkpoints and results; what is there is not computed again."""
    image: Path = Path("docs/images/learning_robotiq_2f140.png")
    """The picture."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training."""
    num_envs: int = 128
    """Worlds side by side."""
    iterations: int = 18
    """PPO iterations of 24 steps in every world."""
    episodes: int = 256
    """Held-out episodes."""
    evaluation_seed: int = 100_000
    """Seed of the held-out episodes; training never sees it."""


def main() -> int:
    """Run what is missing and print the table."""
    options = tyro.cli(Options)
    for seed in options.seeds:
        _train(options, seed)
    results = _results(options)
    for name, held in results.items():
        rate, error = _rate(held)
        gain, gain_error = _gain(held, results["open loop"])
        print(
            f"{name:16} {100 * rate:5.1f} +- {100 * error:.1f} %   gain {100 * gain:+5.1f} +- {100 * gain_error:.1f}"
        )
    _draw(options, results)
    return 0


def _checkpoint(options: Options, seed: int) -> Path:
    """The last of a finished training, of which each has a folder of its own; a path that is missing before."""
    name = f"model_{options.iterations - 1}.pt"
    folder = options.folder / f"seed{seed}"
    return max(folder.glob(f"*/{name}"), default=folder / name)


def _train(options: Options, seed: int) -> None:
    if _checkpoint(options, seed).exists():
        return
    started = time.perf_counter()
    command = [sys.executable, "-m", "warpgrasp.eval.isaaclab.train", TASK, "--device", "cpu", "--cone", CONE]
    command += ["--num-envs", str(options.num_envs), "--iterations", str(options.iterations)]
    command += ["--seed", str(seed), "--out", str(options.folder / f"seed{seed}"), "--options"]
    for name, value in SETUP.items():
        command += [name, str(value)]
    log = options.folder / f"seed{seed}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        subprocess.run(
            command,
            check=True,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    print(f"seed {seed}: trained in {time.perf_counter() - started:.0f} s", flush=True)


def _results(options: Options) -> dict[str, list[bool]]:
    """Success of every held-out episode, by name of what acted."""
    path = options.folder / "results.json"
    results: dict[str, list[bool]] = json.loads(path.read_text()) if path.exists() else {}
    names = ["open loop", *(f"{kind} {seed}" for kind in ("policy", "replay") for seed in options.seeds)]
    if all(name in results for name in names):
        return results
    import torch

    from warpgrasp.eval.isaaclab.scripts.play import PlayOptions, successes
    from warpgrasp.eval.isaaclab.scripts.policies import load_policy, make_environment
    from warpgrasp.eval.isaaclab.scripts.replay import Recorder, replay_policy

    torch.set_num_threads(1)
    play = PlayOptions(task=TASK, num_envs=options.num_envs, device="cpu", cone=CONE, options=SETUP)
    environment = make_environment(play)
    for name in names:
        if name in results:
            continue
        policy: Any = None
        if name != "open loop":
            seed = int(name.split()[1])
            checkpoint = _checkpoint(options, seed)
            policy = load_policy(environment, task=TASK, checkpoint=checkpoint, library="rsl_rl", seed=seed)
            if name.startswith("policy"):
                policy = recorder = Recorder(environment, policy)
            else:
                policy = replay_policy(environment, torch.load(options.folder / f"actions{seed}.pt"))
        held = successes(environment, policy, episodes=options.episodes, seed=options.evaluation_seed)
        if name.startswith("policy"):
            torch.save(recorder.mean(), options.folder / f"actions{seed}.pt")
        results[name] = held.tolist()
        path.write_text(json.dumps(results))
        print(name, _rate(results[name]), flush=True)
    environment.close()
    return results


def _rate(held: list[bool]) -> tuple[float, float]:
    """Share and its standard error."""
    rate = sum(held) / len(held)
    return rate, (rate * (1.0 - rate) / len(held)) ** 0.5


def _gain(held: list[bool], reference: list[bool]) -> tuple[float, float]:
    """Mean difference on equal episodes and its standard error."""
    difference = [float(a) - float(b) for a, b in zip(held, reference, strict=True)]
    mean = sum(difference) / len(difference)
    variance = sum((value - mean) ** 2 for value in difference) / max(len(difference) - 1, 1)
    return mean, (variance / len(difference)) ** 0.5


def _draw(options: Options, results: dict[str, list[bool]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    figure, axes = plt.subplots(figsize=(7.0, 4.0))
    for index, seed in enumerate(options.seeds):
        events = EventAccumulator(str(_checkpoint(options, seed).parent))
        events.Reload()
        scalars = events.Scalars("Metrics/success_rate")
        steps = np.array([item.step + 1 for item in scalars]) * options.num_envs * 24 / 1000.0
        values = 100.0 * np.array([item.value for item in scalars])
        smooth = np.array([values[max(i - _SMOOTH + 1, 0) : i + 1].mean() for i in range(len(values))])
        axes.plot(steps, smooth, color=f"C{index}", label=f"seed {seed}, exploring")
        rate, error = _rate(results[f"policy {seed}"])
        axes.errorbar(
            steps[-1] * 1.03, 100 * rate, 100 * error, color=f"C{index}", marker="o", capsize=3,
            label="held out, mean action" if index == 0 else None,
        )  # fmt: skip
    rate, error = _rate(results["open loop"])
    axes.axhline(100 * rate, color="0.3", linestyle="--", label="held out, open-loop squeeze")
    axes.axhspan(100 * (rate - error), 100 * (rate + error), color="0.3", alpha=0.15)
    axes.set_xlabel("environment steps (thousands)")
    axes.set_ylabel("success (%)")
    axes.set_ylim(bottom=0.0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    options.image.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.image, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
