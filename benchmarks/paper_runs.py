"""Grasps of a method on some objects and what became of them, made once and kept as files; for ``paper_tables.py``."""

from __future__ import annotations

import dataclasses
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from outside_judge import HANDS, Options, original, own

from warpgrasp.base.json_text import to_json
from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.evaluation import grasp_metrics, simulation_displacement
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.export import export_grasps
from warpgrasp.grasps.case import GraspCase, load_case
from warpgrasp.hands import load_hand
from warpgrasp.objects import load_object
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

__all__ = ["OUTSIDE", "OWN_ON_ITS_HAND", "Columns", "Run", "judge", "judge_outside", "judged", "load", "make"]

Columns = dict[str, NDArray[Any]]
OUTSIDE = "outside_success"
"""Column of the verdicts of DexGraspBench's own program, [N, 1]."""
OWN_ON_ITS_HAND = "own_on_its_hand_success"
"""Column of the verdicts of our protocol of that name on the program's model of the hand, [N, 1]."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One method on one hand; what is ``None`` is the method's own."""

    method: str
    hand: str = "allegro"
    grasps: int = 32
    steps: float = 1.0
    """Share of the method's own number of steps."""
    candidates: int = 1
    """Grasps synthesised for each one kept; 1 is what the other papers' systems do."""
    grasp_type: str | None = None
    contacts: int | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    """Fields of ``SynthesisConfig`` changed, by name."""
    title: str = ""
    """Name of the folder where ``changes`` would not tell it apart."""

    def config(self) -> SynthesisConfig:
        """The configuration of the synthesis."""
        given = {"grasp_count": self.grasps, "candidates": self.candidates, "device": "cpu"}
        own = method_config(self.method, **given, **dict(self.changes))
        own = dataclasses.replace(own, step_count=max(1, round(self.steps * own.step_count)))
        if self.grasp_type is not None:
            own = dataclasses.replace(own, grasp_type=self.grasp_type)
        return own if self.contacts is None else dataclasses.replace(own, contact_count=self.contacts)

    def folder(self, out: Path) -> Path:
        """Where its files lie."""
        config = self.config()
        kind = f"{config.grasp_type}-{config.contact_count}c-{self.grasps}g-{config.step_count}s"
        chosen = "" if self.candidates == 1 else f"-best-of-{self.candidates}"
        return out / f"{self.title or self.method}-{self.hand}-{kind}{chosen}"


def make(run: Run, path: Path, out: Path) -> Path:
    """Grasp file of one object, synthesised where it is missing; its CPU time is kept beside it."""
    file = run.folder(out) / f"{path.stem}.npz"
    if file.exists():
        _same_settings(run, file)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        hand, model = load_hand(run.hand), load_object(path)
        warm = dataclasses.replace(run.config(), grasp_count=1, step_count=3)
        synthesize(hand, [model], warm)  # compiles what is not compiled yet
        started = time.process_time()
        (grasps,) = synthesize(hand, [model], run.config())
        seconds = (time.process_time() - started) / run.grasps
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        _update(run, path, out, {"seconds": np.array(seconds), "commit": np.array(commit.stdout.strip())})
        grasps.save(file)
    return file


def judge(
    run: Run,
    path: Path,
    out: Path,
    *,
    forces: Iterable[float] = (5.0,),
    dexgraspbench: bool = True,
    metrics: bool = True,
    slow: bool = False,
) -> Columns:
    """Columns of one object's grasps, those that are missing computed: success under the protocols, geometry.

    Columns: ``graspqp_F_success`` [N, 3], ``dexgraspbench_success`` [N, 6], the metrics of ``python -m warpgrasp.evaluate``
    [N], ``status`` [N], ``seconds`` of CPU time per grasp, ``commit``.
    """
    case = load_case(make(run, path, out))
    known = judged(run, path, out)
    if "status" not in known:
        known = _update(run, path, out, {"status": case.grasps.status, "energy": case.grasps.energy})
    trials = {f"graspqp_{force:g}": PROTOCOLS["graspqp"].with_force(force) for force in forces}
    if dexgraspbench:
        trials["dexgraspbench"] = PROTOCOLS["dexgraspbench"]
    for name, protocol in trials.items():
        if f"{name}_success" not in known:
            scene = build_scene(case.hand, case.model, convex_pieces(case.model), protocol)
            targets = hand_targets(
                case.hand, case.grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort
            )
            verdict = load_engine("mujoco").evaluate(scene, targets)
            known = _update(run, path, out, {f"{name}_success": verdict.trial_success})
    wanted = "epsilon_quality" if slow else "penetration_depth"
    if (metrics or slow) and wanted not in known:
        known = _update(run, path, out, _metrics(case, slow))
    return known


def judge_outside(run: Run, paths: Sequence[Path], out: Path, program: Path, python: Path) -> list[Columns]:
    """Columns of every object's grasps with the verdicts of DexGraspBench's own program, those that are missing computed.

    ``program`` and ``python`` are those of ``outside_judge.py``; every grasp is exported, whatever its status. Our protocol of
    that name judges them on the program's model of the hand as well, which tells what the hand does and what the program.
    """
    options = Options(runs=(), program=program, python=python)
    missing = [path for path in paths if OUTSIDE not in judged(run, path, out)]
    if missing:
        files = [run.folder(out) / f"{path.stem}.npz" for path in missing]
        with tempfile.TemporaryDirectory() as name:
            export_grasps(files, Path(name) / "out", format="dexgraspbench", every_status=True)
            verdicts = original(Path(name) / "out", HANDS[run.hand], options)
        for path in missing:
            _update(run, path, out, {OUTSIDE: _of_object(run, path, out, verdicts)})
    for path in paths:
        if OWN_ON_ITS_HAND not in judged(run, path, out):
            hand_file = program / "assets" / "hand" / HANDS[run.hand] / "right_hand.xml"
            verdicts = own([run.folder(out) / f"{path.stem}.npz"], options, hand_file)
            _update(run, path, out, {OWN_ON_ITS_HAND: _of_object(run, path, out, verdicts)})
    return [judged(run, path, out) for path in paths]


def _of_object(run: Run, path: Path, out: Path, verdicts: dict[str, bool]) -> NDArray[np.bool_]:
    """The verdicts on the grasps of one object in their order, shape [N, 1]; a grasp without one does not hold."""
    rows = range(len(load(run, path, out).grasps))
    return np.array([verdicts.get(f"{path.stem}/{row:04d}", False) for row in rows])[:, None]


def judged(run: Run, path: Path, out: Path) -> Columns:
    """What is known of one object's grasps."""
    file = _result(run, path, out)
    if not file.exists():
        return {}
    with np.load(file) as stored:
        return dict(stored)


def load(run: Run, path: Path, out: Path) -> GraspCase:
    """Grasps of one object with hand and object."""
    return load_case(run.folder(out) / f"{path.stem}.npz")


def _same_settings(run: Run, file: Path) -> None:
    """Grasps that were made with other settings, of an older program say, have no place in a table of these.

    Raises:
        ValueError: The file's settings are others.
    """
    if not _says(load_case(file).grasps.metadata.get("config"), to_json(run.config())):
        raise ValueError(
            f"{file} was made with other settings of {run.method}; remove its folder or choose another --out"
        )


def _says(stored: object, wanted: object) -> bool:
    """Whether settings of a file are those wanted; what these leave open, the file may say."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return stored.keys() == wanted.keys() and all(_says(stored[name], wanted[name]) for name in wanted)
    return wanted is None or stored == wanted


def _metrics(case: GraspCase, slow: bool) -> Columns:
    every = np.ones(len(case.grasps), dtype=bool)
    measured: Columns = dict(grasp_metrics(case, every, all_metrics=slow))
    if slow:
        scene = build_scene(case.hand, case.model, convex_pieces(case.model), PROTOCOLS["graspqp"])
        targets = hand_targets(
            case.hand, case.grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort
        )
        measured["simulation_displacement"] = simulation_displacement(load_engine("mujoco"), scene, targets)
    return measured


def _result(run: Run, path: Path, out: Path) -> Path:
    return run.folder(out) / "results" / f"{path.stem}.npz"


def _update(run: Run, path: Path, out: Path, columns: Columns) -> Columns:
    file = _result(run, path, out)
    file.parent.mkdir(parents=True, exist_ok=True)
    known = judged(run, path, out) | columns
    partial = file.with_suffix(".partial.npz")
    np.savez(partial, **known)
    partial.replace(file)
    return known
