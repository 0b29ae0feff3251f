"""Grasps judged per second by an engine, and what holds under each squeeze.

Allegro power grasps, ``graspqp`` protocol (3 trials of 1.5 s at 200 Hz = 900 steps a grasp, of which the first 50 of each
trial are shared). Run from the root of the repository; one line per object and squeeze, then the means::

    python benchmarks/evaluate.py [--objects FOLDER] [--split tuning|reporting] [--grasps 16] [--steps 3000]

Newton on a GPU, 4,096 worlds at once (a grasp takes one per trial)::

    python benchmarks/evaluate.py --engine newton --grasps 35 --copies 39 --squeeze-effort 1
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.registry import ENGINES, load_engine
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import SqueezeRule, hand_targets
from warpgrasp.eval.protocol.verdict import Verdict
from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.controller_targets import TargetConfig
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

TUNING_OBJECTS = (
    "os_bunny",
    "os_coffeemug",
    "os_torusmedium",
    "os_wineglass",
    "rs_bread",
    "ycb_005_tomato_soup_can",
    "ycb_011_banana",
    "ycb_035_power_drill",
    "ycb_077_rubiks_cube",
)
"""Objects on which hyper-parameters of synthesis, squeeze and pregrasp are chosen."""

REPORTING_OBJECTS = (
    "os_alarmclock",
    "os_binoculars",
    "os_cylindermedium",
    "os_duck",
    "os_flashlight",
    "os_lightbulb",
    "os_mouse",
    "os_toothpaste",
    "os_train",
    "ycb_003_cracker_box",
    "ycb_006_mustard_bottle",
    "ycb_010_potted_meat_can",
    "ycb_013_apple",
    "ycb_016_pear",
    "ycb_043_phillips_screwdriver",
    "ycb_055_baseball",
    "ycb_061_foam_brick",
    "ycb_065-e_cup",
)
"""Objects on which results are reported; nothing is chosen on them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Speed of the evaluation and success over squeeze."""

    objects: Path = Path("../shared/objects")
    """Folder of the meshes; where it is missing, the shipped objects stand in."""
    split: Literal["tuning", "reporting"] = "tuning"
    """Which objects."""
    hand: str = "allegro"
    protocol: Literal[tuple(PROTOCOLS)] = "graspqp"  # type: ignore[valid-type]
    grasps: int = 16
    """Per object."""
    steps: int = 3000
    engine: Literal[tuple(ENGINES)] = "mujoco"  # type: ignore[valid-type]
    copies: int = 1
    """How often each grasp is judged; fills a GPU without more synthesis."""
    workers: int = 0
    """Threads of the engine; 0 takes all cores."""
    grasp_type: str = "power"
    time_step: float = 0.0
    """Another time step [s], contacts as stiff as it allows; 0 keeps that of the protocol."""
    squeeze_effort: tuple[float, ...] = (0.3, 1.0, 2.0, 3.0, 6.0)
    """Squeezes to compare, as fractions of the effort limit; above 1 every joint is bounded by its limit."""
    rules: tuple[Literal["extrapolate", "extrapolate-joints"], ...] = ()
    """Other squeeze rules to compare with those."""


def main() -> None:
    """Synthesise, evaluate, print."""
    options = tyro.cli(Options)
    names = TUNING_OBJECTS if options.split == "tuning" else REPORTING_OBJECTS
    paths = [options.objects / f"{name}.obj" for name in names]
    if not options.objects.is_dir():
        paths = [example_object_path(name) for name in example_object_names()]
    hand, protocol = load_hand(options.hand), PROTOCOLS[options.protocol]
    engine = load_engine(options.engine, workers=options.workers)
    if options.time_step > 0.0:
        scale = options.time_step / protocol.time_step
        protocol = dataclasses.replace(
            protocol,
            time_step=options.time_step,
            contact_time_constant=scale * protocol.contact_time_constant,
        )
    config = SynthesisConfig(
        grasp_count=options.grasps,
        step_count=options.steps,
        grasp_type=options.grasp_type,
        targets=TargetConfig(squeeze_effort=1.0),  # not bounded joint by joint yet
    )
    squeezes: dict[str, dict[str, Any]] = {
        f"{effort:g}": {"squeeze_effort": effort} for effort in options.squeeze_effort
    } | {rule: {"rule": SqueezeRule(rule)} for rule in options.rules}
    verdicts: dict[str, list[Verdict]] = {name: [] for name in squeezes}
    seconds, core_seconds = 0.0, 0.0
    print(protocol.sentence())
    for path in paths:
        model = load_object(path)
        (grasps,) = synthesize(hand, [model], config)
        pieces = convex_pieces(model)
        scene = build_scene(hand, model, pieces, protocol)
        for name, own in verdicts.items():
            targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness, **squeezes[name])
            targets = targets.select(np.tile(np.arange(len(grasps)), options.copies))
            if options.engine == "newton":
                engine.evaluate(scene, targets)  # compiles the kernels and captures the graph
            began, core_began = time.perf_counter(), time.process_time()
            own.append(engine.evaluate(scene, targets))
            took = time.perf_counter() - began
            seconds += took
            core_seconds += time.process_time() - core_began
            print(
                f"{model.name:28s} {len(pieces):3d} pieces, squeeze {name:>4s}: Succ1 {own[-1].success_any.mean():.2f} "
                f"Succ3 {own[-1].success_all.mean():.2f}, {len(targets) / took:6.1f} grasps/s",
                flush=True,
            )
    total = sum(len(own) for parts in verdicts.values() for own in parts)
    for name, parts in verdicts.items():
        whole = Verdict.concatenate(parts)
        print(
            f"squeeze {name:>4s}: Succ1 {whole.success_any.mean():.3f} Succ3 {whole.success_all.mean():.3f} "
            f"of {len(whole)} grasps"
        )
    # On a machine shared with others the wall clock says little, the time of the cores does.
    print(f"{total / seconds:.1f} grasps/s; {total / core_seconds:.1f} per second of one core")


if __name__ == "__main__":
    main()
