"""Does a policy that looks hold more than its own mean actions played blind? The task Approach and its replay ablation.

    python benchmarks/reacting.py --device cpu                  # three seeds, 96 worlds, taught: about 10 minutes of one core
    python benchmarks/reacting.py --device cuda:0 --num-envs 4096 --iterations 20               # the same for a GPU
    python benchmarks/reacting.py --device cuda:0 --num-envs 4096 --iterations 300 --agent ppo  # learned by trial

Each seed is trained in a process of its own; then every policy, its replay, zero actions and the policy that is told the
error (track) play the same held-out episodes, on the objects of the training and on those held out. What is finished in the
folder is kept. Needs Isaac Lab (``pip install "warpgrasp[isaaclab]"``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import tyro

_TRAIN = """
import sys, warpgrasp.eval.isaaclab
from isaaclab_rl.entrypoints import run_train_cli
sys.exit(run_train_cli(sys.argv[1:]))
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train and compare."""

    hand: str = "Robotiq2f140"
    """Hand, as in the ids of the environments."""
    folder: Path = Path("build/reacting")
    """Checkpoints and results; what is there is not computed again."""
    agent: Literal["distillation", "ppo"] = "distillation"
    """Learn from the written teacher that is told the error, or by trial."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training."""
    device: str = "cuda:0"
    """cuda:0 or cpu."""
    num_envs: int = 96
    """Worlds side by side in training."""
    play_envs: int = 96
    """Worlds side by side in the comparison."""
    iterations: int = 12
    """Iterations of 42 steps (ppo: 24) in every world."""
    episodes: int = 192
    """Held-out episodes of each comparison."""
    evaluation_seed: int = 100_000
    """Seed of the held-out episodes; training never sees it."""
    splits: tuple[str, ...] = ("train", "held_out")
    """Objects of the comparison: those of the training, and others."""
    options: dict[str, float] = field(default_factory=dict)
    """Further options of the environment, in training and comparison."""
    play_options: dict[str, float] = field(default_factory=dict)
    """Options of the environment in the comparison alone, such as position_noise 0.04; they have results of their own."""
    overrides: tuple[str, ...] = ()
    """Hydra overrides of the training alone, such as env.curriculum.difficulty.params.low=0.6."""

    @property
    def task(self) -> str:
        """Registered id."""
        return f"WarpGrasp-Approach-{self.hand}"

    @property
    def place(self) -> Path:
        """Folder of this hand."""
        return self.folder / self.agent / self.hand


def main() -> int:
    """Run what is missing and print the table."""
    options = tyro.cli(Options, description=__doc__)
    for seed in options.seeds:
        _train(options, seed)
    print(
        "| Objects | Policy | Success | Its replay | Zero actions | Looking gains |\n|---|---|---|---|---|---|"
    )
    for split in options.splits:
        for name, found in _compared(options, split).items():
            print(
                f"| {split} | {name} | {100 * found['policy']:.1f} % | {100 * found['replay']:.1f} % | "
                f"{100 * found['zero']:.1f} % | {100 * found['gain']:+.1f} ± {100 * found['gain_error']:.1f} |",
                flush=True,
            )
    return 0


def _checkpoint(options: Options, seed: int) -> Path:
    name = f"model_{options.iterations - 1}.pt"
    folder = options.place / f"seed{seed}"
    return max(folder.glob(f"*/{name}"), default=folder / name)


def _train(options: Options, seed: int) -> None:
    if _checkpoint(options, seed).exists():
        return
    from warpgrasp.eval.isaaclab.scripts.train import TrainOptions

    started = time.perf_counter()
    training = TrainOptions(
        task=options.task,
        num_envs=options.num_envs,
        iterations=options.iterations,
        seed=seed,
        device=options.device,
        agent=options.agent,
        out=options.place / f"seed{seed}",
        options=options.options,
    )
    command = [sys.executable, "-c", _TRAIN, *training.arguments(), *options.overrides]
    log = options.place / f"seed{seed}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        subprocess.run(
            command,
            check=True,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"} if options.device == "cpu" else None,
        )
    print(f"seed {seed}: trained in {time.perf_counter() - started:.0f} s", flush=True)


def _compared(options: Options, split: str) -> dict[str, Any]:
    """The ablation of every policy on one split of the objects, by name."""
    changed = "".join(f"_{name}_{value:g}" for name, value in options.play_options.items())
    path = options.place / f"{split}{changed}.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    names = ["track", *(f"seed {seed}" for seed in options.seeds)]
    if all(name in results for name in names):
        return results
    import gymnasium
    import torch

    import warpgrasp.eval.isaaclab  # noqa: F401
    from warpgrasp.eval.isaaclab.scripts.play import successes
    from warpgrasp.eval.isaaclab.scripts.policies import load_policy
    from warpgrasp.eval.isaaclab.scripts.replay import replay_ablation
    from warpgrasp.eval.isaaclab.scripts.scripted import scripted_policy

    if options.device == "cpu":
        torch.set_num_threads(1)
    environment = gymnasium.make(
        options.task,
        num_envs=options.play_envs,
        device=options.device,
        objects=split,
        curriculum=None,
        **{**options.options, **options.play_options},
    )
    chosen = {"episodes": options.episodes, "seed": options.evaluation_seed}
    zero = successes(environment, None, **chosen)
    for name in (name for name in names if name not in results):
        if name == "track":
            policy = scripted_policy(name, environment)
        else:
            seed = int(name.split()[1])
            checkpoint = _checkpoint(options, seed)
            policy = load_policy(
                environment, task=options.task, checkpoint=checkpoint, library="rsl_rl", seed=seed
            )
        found = replay_ablation(environment, policy, **chosen, zero=zero)
        results[name] = asdict(found)
        path.write_text(json.dumps(results))
    environment.close()
    return results


if __name__ == "__main__":
    sys.exit(main())
