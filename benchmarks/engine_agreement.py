"""Whether MuJoCo and another engine, Newton's MuJoCo-Warp solver by default, say the same about the same grasps.

Makes power grasps, looks in MuJoCo for the pushes at which 30 to 70 % of them hold (Succ1 or Succ3), and lets both engines
judge them there. Beside it stands what two runs of MuJoCo itself agree on when the root of the hand is moved by a tiny way:
no engine can be expected to agree with MuJoCo better than MuJoCo does, and a grasp on which MuJoCo changes its own mind
explains why another engine may see it otherwise. Run from the root of the repository; grasps are kept in ``--out``::

    python benchmarks/engine_agreement.py [--objects FOLDER] [--grasps 12] [--steps 1500] [--out agreement]
    python benchmarks/engine_agreement.py --protocol dexgraspbench
    python benchmarks/engine_agreement.py --engine isaaclab --forces 5 10
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
import warp as wp
from machine import machine_name

from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.engines.registry import Engine, load_engine
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import HandTargets, hand_targets
from warpgrasp.eval.report.terminal import EvaluationReport
from warpgrasp.eval.results.agreement import MEANINGFUL_SHARE, MEASURES, Agreement, Comparison
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

OBJECTS = ("os_coffeemug", "os_torusmedium", "ycb_011_banana", "ycb_035_power_drill")
MOVES = (1.0e-6, 1.0e-5, 1.0e-4)
"""Ways by which the root is moved for MuJoCo's agreement with itself [m]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Agreement of two engines."""

    objects: Path = Path("../shared/objects")
    """Folder of the meshes; where it is missing, the shipped objects stand in."""
    hand: str = "allegro"
    engine: Literal["newton", "isaaclab"] = "newton"
    """Engine beside MuJoCo; Isaac Lab needs its own environment (Python 3.12)."""
    protocol: Literal[tuple(PROTOCOLS)] = "graspqp"  # type: ignore[valid-type]
    grasps: int = 12
    """Per object."""
    steps: int = 1500
    """Of the synthesis."""
    forces: tuple[float, ...] = (1.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0)
    """Pushes to choose from [N]; a protocol that accelerates has its own."""
    out: Path = Path("agreement")


@dataclasses.dataclass(frozen=True)
class Case:
    """One object with its scene and what the hand is told."""

    name: str
    scene: Scene
    targets: HandTargets


def main() -> None:
    """Make grasps, judge, print."""
    options = tyro.cli(Options)
    options.out.mkdir(parents=True, exist_ok=True)
    wp.config.log_level = wp.LOG_ERROR
    if options.engine == "isaaclab":
        import warpgrasp.eval.isaaclab  # noqa: F401  before any stage is opened
    protocol = PROTOCOLS[options.protocol]
    cases = prepare(options)
    mujoco, other = load_engine("mujoco"), load_engine(options.engine)
    scan = [judge(mujoco, case, options.forces) for case in cases]
    forces = meaningful_forces(scan) or options.forces
    first = [judge(mujoco, case, forces) for case in cases]
    compared = Comparison(mujoco.name, other.name)
    content: dict[str, Any] = {"commit": commit(), "machine": machine_name(), "protocol": protocol.sentence()}
    for case, own in zip(cases, first, strict=True):
        began = time.perf_counter()
        compared.add(case.name, own, judge(other, case, forces))
        print(
            f"{case.name}: {len(case.targets)} grasps, {other.name} took {time.perf_counter() - began:.0f} s",
            flush=True,
        )
    content[f"mujoco and {other.name}"] = compared.content()
    EvaluationReport().comparison(compared)
    print(motions(compared))
    undecided: dict[tuple[str, int, float], float] = {}
    for way in MOVES:
        itself = Comparison(mujoco.name, f"{mujoco.name}, root moved by {1.0e6 * way:g} um")
        for case, own in zip(cases, first, strict=True):
            itself.add(case.name, own, judge(mujoco, moved(case, way), forces))
        for entry in itself.disagreements():
            undecided.setdefault((entry.object, entry.grasp, entry.force), way)
        content[itself.second] = itself.content()
        print(pooled(itself))
    print(pooled(compared))
    for entry in compared.disagreements():
        way = undecided.get((entry.object, entry.grasp, entry.force))
        said = "holds to its verdict" if way is None else f"changes its own verdict at {1.0e6 * way:g} um"
        print(f"{entry.object} {entry.grasp} at {entry.force:g} N: MuJoCo {said}")
    text = json.dumps(content, indent=2) + "\n"
    (options.out / f"agreement_{options.engine}_{options.protocol}.json").write_text(text)
    print(f"{protocol.sentence()}; {content['machine']}; commit {content['commit']}")


def prepare(options: Options) -> list[Case]:
    """Grasps of each object, made once and kept."""
    hand = load_hand(options.hand)
    paths = [options.objects / f"{name}.obj" for name in OBJECTS]
    if not options.objects.is_dir():
        paths = [example_object_path(name) for name in example_object_names()]
    config = SynthesisConfig(grasp_count=options.grasps, step_count=options.steps)
    cases = []
    for path in paths:
        model = load_object(path)
        file = options.out / f"{model.name}.npz"
        if file.exists():
            grasps = GraspSet.load(file)
        else:
            (grasps,) = synthesize(hand, [model], config)
            grasps.save(file)
        scene = build_scene(hand, model, convex_pieces(model), PROTOCOLS[options.protocol])
        cases.append(Case(model.name, scene, hand_targets(hand, grasps, stiffness=scene.drives.stiffness)))
    return cases


def judge(engine: Engine, case: Case, forces: tuple[float, ...]) -> CaseResult:
    """Verdicts of an engine at each push, or at the protocol's own."""
    own = case.scene.protocol
    protocols = [own] if own.force is None else [own.with_force(force) for force in forces]
    verdicts = [
        engine.evaluate(dataclasses.replace(case.scene, protocol=protocol), case.targets)
        for protocol in protocols
    ]
    return CaseResult.from_verdicts([protocol.push_force for protocol in protocols], verdicts, {}, {})


def moved(case: Case, way: float) -> Case:
    """The same case with the root a little aside."""
    step = way / np.sqrt(3.0)
    names = ("pregrasp_position", "grasp_position", "squeeze_position")
    shifted = {name: getattr(case.targets, name) + step for name in names}
    return dataclasses.replace(case, targets=dataclasses.replace(case.targets, **shifted))


def meaningful_forces(scan: list[CaseResult]) -> tuple[float, ...]:
    """The pushes at which Succ1 or Succ3 over all objects lies where kappa means something."""
    low, high = MEANINGFUL_SHARE
    chosen = []
    for index, force in enumerate(scan[0].force):
        verdicts = [result.verdict(index) for result in scan]
        shares = [
            float(np.concatenate([getattr(verdict, name) for verdict in verdicts]).mean())
            for name in ("success_any", "success_all")
        ]
        print(f"{force:5g} N: Succ1 {shares[0]:.2f}, Succ3 {shares[1]:.2f} in MuJoCo")
        if any(low <= share <= high for share in shares):
            chosen.append(float(force))
    return tuple(chosen)


def pooled(comparison: Comparison) -> str:
    """Agreement over all pushes in one line."""
    parts = []
    for name in MEASURES:
        counts = [comparison.agreements(force)[name] for force in comparison.forces]
        numbers = np.sum([dataclasses.astuple(entry) for entry in counts], axis=0)
        whole = Agreement(*(int(number) for number in numbers))
        parts.append(f"{name} {whole.both + whole.neither} of {whole.count} equal, kappa {whole.kappa:.2f}")
    return f"{comparison.first} / {comparison.second}, all pushes: {'; '.join(parts)}"


def motions(comparison: Comparison) -> str:
    """How far the engines' motions are apart where both hold, and whether they settle on equal contacts."""
    ways, equal = [], []
    for _, first, second in comparison.pairs:
        for index in range(len(first.force)):
            one, two = first.verdict(index), second.verdict(index)
            held = one.trial_success & two.trial_success
            ways.append(np.abs(one.displacement - two.displacement)[held])
            equal.append(one.contact_count == two.contact_count)
    apart = 1000.0 * np.concatenate(ways)
    quantiles = ", ".join(f"{np.percentile(apart, q):.3f} ({q} %)" for q in (50, 90, 99))
    return (
        f"ways of {len(apart)} trials held by both differ by {quantiles} mm; equal number of contacts before "
        f"the push in {100.0 * np.concatenate(equal).mean():.0f} % of the runs"
    )


def commit() -> str:
    """Short hash of the checkout, if it is one."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
