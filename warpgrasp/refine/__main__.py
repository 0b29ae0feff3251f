"""``python -m warpgrasp.refine``: grasps in, more and better ones out, by evolution in a physics engine.

The output folder is one like those of ``generate``: a grasp file and a USD stage per object, which hold the different
grasps that passed all trials of the protocol. Exit codes: 0 all files refined, 1 files had to be skipped, 2 wrong usage.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from warpgrasp.base.json_text import to_json
from warpgrasp.base.output_text import print_any_text
from warpgrasp.base.warp_messages import quiet_warp, warp_is_quiet
from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.metrics.diversity import unique_grasps
from warpgrasp.eval.protocol.protocols import find_protocol
from warpgrasp.generate.run_folder import RunFolder
from warpgrasp.grasps.case import CaseError, grasp_files, load_case
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.refine.archive import EvolutionConfig
from warpgrasp.refine.evolution import Refined, refine_case

__all__ = ["RefineOptions", "main"]


@dataclass(frozen=True, kw_only=True)
class RefineOptions:
    """Refine grasps by evolution in simulation (DexEvolve): mutated and mixed grasps that hold join an archive."""

    inputs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of warpgrasp.generate, or single grasp files (npz); failures are welcome too."""
    budget: int = 512
    """Grasps simulated per object, those of the input included."""
    protocol: Annotated[str, tyro.conf.arg(metavar="NAME")] = "graspqp"
    """What a grasp must pass: graspqp, dexgraspbench, bodex-paper, or my_module:MY_PROTOCOL."""
    force: float = 5.0
    """Push of the graspqp protocol [N]."""
    engine: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """Physics engine: mujoco, newton, or my_module:MyEngine; auto takes newton where there is a CUDA device."""
    device: str = "auto"
    """Where geometry and engine run: auto, cpu, cuda:0, ..."""
    workers: int = 0
    """Threads of the engine; 0 takes all cores. Results do not depend on it."""
    seed: int = 0
    """Seed of all random numbers."""
    out: Path = Path("grasps/refined")
    """Output folder; grasps of other options in it are replaced."""
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)
    """Hyper-parameters of the evolution."""


def main(arguments: Sequence[str] | None = None, *, console: Console | None = None) -> int:
    """Run the command line and return its exit code."""
    console = console or Console(stderr=True, soft_wrap=True)
    quiet_warp()
    print_any_text()
    try:
        options = tyro.cli(RefineOptions, args=arguments, prog="python -m warpgrasp.refine")
        files = grasp_files(options.inputs)
        if options.out.resolve() in {file.parent for file in files}:
            raise ValueError(f"--out must not be the folder of the input (got {options.out})")
        engine = load_engine(options.engine, workers=options.workers, device=options.device)
        protocol = find_protocol(options.protocol)
        if options.protocol == "graspqp":
            protocol = protocol.with_force(options.force)
        folder = RunFolder(options.out, _settings(options, files), resume=False)
    except (ValueError, ImportError, OSError) as error:
        console.print(f"error: {error}", markup=False, highlight=False)
        return 2
    failures = 0
    for file in files:
        started = time.perf_counter()
        try:
            case = load_case(file)
            scene = build_scene(case.hand, case.model, convex_pieces(case.model), protocol)
            with warp_is_quiet():
                refined = refine_case(
                    case,
                    engine,
                    scene,
                    budget=options.budget,
                    config=options.evolution,
                    seed=options.seed,
                    device=options.device,
                )
        except (CaseError, ValueError) as error:
            console.print(f"error: {error}", markup=False, highlight=False)
            failures += 1
            continue
        if len(refined.grasps):
            model = dataclasses.replace(case.model, name=file.stem)
            folder.store(file.stem, refined.grasps, case.hand, model, seconds=time.perf_counter() - started)
        console.print(_sentence(file.stem, refined), markup=False, highlight=False)
    folder.write_summary()
    return 1 if failures else 0


def _sentence(name: str, refined: Refined) -> str:
    return (
        f"{name}: {len(refined.grasps)} grasps hold in all trials, {_different(refined.grasps)} of them different (2 cm, "
        f"15 deg), after {refined.simulated} simulated; of the input {refined.first_held} held"
    )


def _different(grasps: GraspSet) -> int:
    poses = (grasps.root_position, grasps.root_quaternion, grasps.joint_position)
    return len(unique_grasps(*poses, angle_bin=15.0, joint_bin=None))


def _settings(options: RefineOptions, files: Sequence[Path]) -> dict[str, Any]:
    """Everything that decides the grasps."""
    names = ("budget", "protocol", "force", "seed", "evolution")
    settings = {name: to_json(getattr(options, name)) for name in names}
    return settings | {"engine": options.engine, "inputs": [str(file) for file in files]}


if __name__ == "__main__":
    sys.exit(main())
