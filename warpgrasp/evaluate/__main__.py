"""``python -m warpgrasp.evaluate``: shake grasps in a physics engine and report what holds.

Results lie in ``evaluation/<settings>/`` beside the grasps: one npz file of columns per grasp file, which keeps every force
simulated so far, ``results.csv`` and ``results.json`` over all of them; with ``--compare`` also ``agreement.json``. The
settings are the protocol and whatever is not the default, such as ``graspqp-newton``: nothing overwrites results of other
settings. Several runs also get one table together, where their folders meet. Exit codes: 0 all grasps were simulated, 1 files
or grasps had to be skipped, 2 wrong usage, 130 interrupted; the same command continues.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from warpgrasp.base.atomic_file import OutputError, folder_lock
from warpgrasp.base.command import end_of, run_command
from warpgrasp.base.output_text import print_any_text
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.engines.registry import Engine, load_engine
from warpgrasp.eval.evaluation import evaluate_case
from warpgrasp.eval.protocol.conditions import (
    forces_sentence,
    protocol_sentence,
    squeeze_sentence,
)
from warpgrasp.eval.protocol.protocols import find_protocol
from warpgrasp.eval.protocol.squeeze_rules import SqueezeRule
from warpgrasp.eval.report.figures import import_matplotlib
from warpgrasp.eval.report.overview_page import write_page
from warpgrasp.eval.report.terminal import EvaluationReport
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.eval.results.columns import counted
from warpgrasp.eval.results.filtered import filtered_folder, write_filtered
from warpgrasp.eval.results.overview import Overview, bad_sentences, stored_comparison
from warpgrasp.eval.results.places import Places, StoredResult, check_places
from warpgrasp.eval.results.rows import row_labels
from warpgrasp.evaluate.ahead import read_ahead
from warpgrasp.evaluate.diagnosis import diagnosis, reason_of
from warpgrasp.grasps.case import GraspCase, grasp_files, load_case
from warpgrasp.hands.check.asset import grasp_range
from warpgrasp.hands.fingertip_force import strength_warnings
from warpgrasp.objects.background_pieces import BackgroundPieces
from warpgrasp.objects.sizes import reach_advice

__all__ = ["EvaluateOptions", "main"]

if TYPE_CHECKING:
    SqueezeName = str
else:  # choices are checked and listed by the command line parser
    SqueezeName = Literal[tuple(rule.value for rule in SqueezeRule)]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Test grasps in physics: success, uniqueness, entropy, penetration, and why grasps fail."""

    inputs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of warpgrasp.generate, or single grasp files (npz)."""
    protocol: Annotated[str, tyro.conf.arg(metavar="NAME")] = "graspqp"
    """How grasps are tested: graspqp, dexgraspbench, bodex-paper, or my_module:MY_PROTOCOL."""
    force: tuple[float, ...] = ()
    """Pushes of the graspqp protocol [N]; 5 by default. Forces of earlier runs are kept and not simulated again."""
    engine: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """Physics engine: mujoco, newton, isaaclab, or my_module:MyEngine; auto takes Newton's MuJoCo-Warp solver where there is
    a CUDA device, else MuJoCo on all cores."""
    compare: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """A second engine that judges the same grasps; agreement and Cohen's kappa are reported, and where they differ."""
    device: str = "auto"
    """Where the engine runs: auto, cpu, cuda:0, ...; the engine auto is newton on CUDA and mujoco on the CPU."""
    workers: int = 0
    """Threads; 0 takes all cores. Results do not depend on it."""
    out: Path | None = None
    """Folder of the results (default: evaluation/PROTOCOL beside the grasps, with whatever setting is not the default in
    its name); results of several runs lie in folders of their names below it."""
    hand: str | None = None
    """Name or path of the hand, where the grasp files do not find it; grasps of another hand are refused."""
    hand_model: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Simulate another model of the hand: an MJCF file, with its own shapes, masses and servos; a checkout of the MuJoCo
    Menagerie; or menagerie, which looks for one in $MUJOCO_MENAGERIE_PATH. Joints are matched by their axes. Metrics stay
    those of the hand the grasps were made with."""
    squeeze: SqueezeName = "torque"
    """Where squeeze targets come from: the file's torques or positions, or extrapolation from the pregrasp."""
    squeeze_effort: float | None = None
    """With --squeeze torque: rescale the largest torque to this fraction of its limit; 0 leaves the squeeze out, above 1
    every joint is bounded by its own limit."""
    all_metrics: bool = False
    """Also compute simulation displacement, intersection volume, epsilon and volume of the wrench space."""
    filter: bool = False
    """Write the grasps that hold in all trials at the largest force and are unique into filtered/ in the results, best
    first."""
    report: bool = False
    """Also write report.html beside the results: tables, plots, heat maps, pictures and a 3-D viewer of the grasps in one
    page that needs no network; one page for several runs."""
    resume: Annotated[bool, tyro.conf.arg(help_behavior_hint="(default: True)")] = True
    """Keep finished results; --no-resume computes the forces asked for again."""

    def config(self) -> EvaluationConfig:
        """Everything that decides the numbers.

        Raises:
            ValueError: A force the protocol does not take, or a value out of range.
        """
        if self.squeeze_effort is not None and self.squeeze != SqueezeRule.TORQUE.value:
            raise ValueError(f"--squeeze-effort belongs to --squeeze torque (got --squeeze {self.squeeze})")
        return EvaluationConfig(
            protocol=find_protocol(self.protocol),
            forces=self.force,
            squeeze=SqueezeRule(self.squeeze),
            squeeze_effort=self.squeeze_effort,
            all_metrics=self.all_metrics,
            hand_model=self.hand_model,
        )


def main(arguments: Sequence[str] | None = None, *, report: EvaluationReport | None = None) -> int:
    """Run the command line and return its exit code."""
    report = report or EvaluationReport()
    options = tyro.cli(EvaluateOptions, args=arguments, prog="python -m warpgrasp.evaluate")
    quiet_warp()
    print_any_text()
    try:
        run = _Run(options, report)
    except (ValueError, ImportError) as error:
        report.error(str(error))
        return 2
    try:
        run.all_files()
    except KeyboardInterrupt as error:
        word, code = end_of(error)
        report.error(
            f"{word}; {len(run.finished)} finished files are kept. The same command continues there."
        )
        return code
    except OutputError as error:
        report.error(f"{error} {len(run.finished)} finished files are kept; the same command continues.")
        return 1
    return 1 if run.failures or run.bad_grasps else 0


class _Run:
    """One command: its files, and what became of each."""

    def __init__(self, options: EvaluateOptions, report: EvaluationReport) -> None:
        self.options = options
        self.report = report
        self.config = options.config()
        self.engine = load_engine(options.engine, workers=options.workers, device=options.device)
        if options.hand_model is not None and "isaaclab" in (self.engine.name, options.compare):
            raise ValueError("--hand-model needs an engine that runs MJCF: mujoco or newton (got isaaclab)")
        self.files = grasp_files(options.inputs)
        self.places = self._places(self.engine)
        check_places(self.places)
        self.second: Engine | None = None
        if options.compare is not None:
            # MuJoCo beside an engine on CUDA stays on the CPU, where it runs.
            device = "auto" if options.compare == "mujoco" else options.device
            self.second = load_engine(options.compare, workers=options.workers, device=device)
            if self.second.name == self.engine.name:
                raise ValueError(
                    f"--compare needs another engine than --engine (got {self.engine.name} twice)"
                )
            self.second_places = self._places(self.second, compared=True)
            check_places(self.second_places)
        if options.report:
            import_matplotlib()  # a missing package is found before hours of simulation
        self.pieces = BackgroundPieces(self.config.pieces, workers=options.workers)
        self.finished: list[StoredResult] = []
        self.compared: list[StoredResult] = []
        self.cases: dict[Path, GraspCase] = {}
        self.failures: dict[str, str] = {}
        self.bad_grasps: dict[str, dict[str, int]] = {}
        self.kept: dict[Path, int] = {}
        self.strength: list[str] = []
        self.reach: dict[str, tuple[float, float]] = {}  # of fingertips that face each other [m], by hand
        self.advice: dict[str, str] = {}  # on the size of the object, by grasp file
        self.forces = self.config.push_forces()
        report.say(
            f"{protocol_sentence(self.config.protocols()[0], self.forces)}; engine {self.engine.name}; squeeze "
            f"{self._squeeze()}{self.config.hand_sentence()}"
        )

    def all_files(self) -> None:
        """Evaluate file by file, write each result at once, then the summaries."""
        with self.report.progress(self.files) as progress, self.pieces:
            kept = self.places.result if self.options.resume else None
            load = partial(load_case, hand=self.options.hand)
            for path, case in read_ahead(self.files, load, self.pieces, result=kept):
                progress.next_file()
                try:
                    self._file(case(), progress.share)
                    progress.finished()
                except OutputError:
                    raise
                except ImportError:
                    raise  # a package is missing for all files alike
                except Exception as error:  # whatever it is, the other files finish
                    self._fail(path, reason_of(error))
        gone = [stored.path for stored in self.finished if not stored.path.is_file()]
        if gone:
            raise OutputError(
                f"{gone[0].parent} was deleted or moved while the command ran, {len(gone)} results are gone; the same command "
                "computes them again."
            )
        overviews = self._write_tables()
        rows = [row for stored in self.finished for row in stored.rows(self.forces)]
        self.report.table(rows)
        self._diagnose(rows)
        if self.options.all_metrics:
            self.report.metrics(rows)
        if self.second is not None and self.finished:
            self.report.comparison(
                stored_comparison(
                    (self.engine.name, self.second.name), self.finished, self.compared, self.forces
                )
            )
        for sentence in bad_sentences(self.bad_grasps):
            self.report.error(sentence)
        if self.failures:
            self.report.error(f"{len(self.failures)} of {len(self.files)} files were skipped, see above.")
        if self.options.filter:
            self._say_filtered()
        if self.options.report:
            self._write_reports(overviews)
        self._say_where(overviews)

    def _diagnose(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Say of every file of which nothing held why, and what to do first."""
        least = min(self.forces)
        own = [row for row in rows if row["force"] == least]
        ok = {
            str(item.grasp_path): int(np.sum(item.grasps.status == GraspStatus.OK)) for item in self.finished
        }
        for row, label in zip(own, row_labels(own), strict=True):
            size = self.advice.get(row["file"], "")
            sentence = diagnosis(label, row, ok=ok.get(row["file"]), size=size)
            if sentence:
                self.report.say(sentence)

    def _warn_of_strength(self, case: GraspCase) -> None:
        """Say once for each hand that it is too weak for the strongest push, or stronger than any hand."""
        protocol = self.config.protocols()[0]
        for sentence in strength_warnings(
            case.hand,
            object_mass=protocol.object_mass,
            push=max(self.forces),
            friction=protocol.friction,
        ):
            if sentence not in self.strength:
                self.strength.append(sentence)
                self.report.warn(sentence)

    def _file(self, case: GraspCase, progress: Callable[[float], None]) -> None:
        """Results of one file, of both engines if there are two."""
        self._warn_of_strength(case)
        if case.hand.asset_hash not in self.reach:
            self.reach[case.hand.asset_hash] = grasp_range(case.hand)
        self.advice[str(case.path)] = reach_advice(case.model.extent, self.reach[case.hand.asset_hash])
        second = self.second
        if second is None:
            result = self._result(case, self.engine, self.places, progress)
        else:
            result = self._result(case, self.engine, self.places, lambda share: progress(0.5 * share))
            other = self._result(
                case, second, self.second_places, lambda share: progress(0.5 + 0.5 * share), measured=result
            )
            self.compared.append(StoredResult.of(self.second_places.result(case.path), case, other))
        stored = StoredResult.of(self.places.result(case.path), case, result)
        self.finished.append(stored)
        if self.options.report:
            self.cases[case.path] = case
        if bad := result.at(self.forces).bad_count():
            self.bad_grasps[str(case.path)] = bad
        if self.options.filter:
            folder = filtered_folder(stored.path.parent, self.config)
            self.kept[case.path] = write_filtered(folder, case, result, self.config)

    def _result(
        self,
        case: GraspCase,
        engine: Engine,
        places: Places,
        progress: Callable[[float], None],
        *,
        measured: CaseResult | None = None,
    ) -> CaseResult:
        """The result of a file: what an earlier run simulated under the same settings, and the forces it lacks."""
        path = places.result(case.path)
        earlier = self._earlier(path, self.config.key(case, engine.name))
        if earlier is not None and len(earlier) != len(case.grasps):
            earlier = None  # of a damaged or foreign file
        total = max(len(case.grasps) * len(self.forces), 1)
        result = evaluate_case(
            case,
            self.config,
            engine,
            earlier=earlier,
            measured=measured,
            progress=lambda done: progress(done / total),
            find_pieces=self.pieces.pieces,
        )
        if result is not earlier:
            result.save(path)
        return result

    def _earlier(self, path: Path, key: str) -> CaseResult | None:
        """What is worth keeping of a result; ``--no-resume`` computes the forces asked for again, no others."""
        try:
            earlier = CaseResult.load(path)
        except ValueError:
            return None  # there is none, or it is damaged: computed again
        if earlier.metadata.get("key") != key:
            lost = [float(force) for force in earlier.force if float(force) not in self.forces]
            if lost:
                self.report.say(
                    f"{path}: replaced; its results at {forces_sentence(lost)} were of other grasps or an older version"
                )
            return None
        if self.options.resume:
            return earlier
        rest = earlier.at([float(force) for force in earlier.force if float(force) not in self.forces])
        return rest.without_metrics() if len(rest.force) else None

    def _fail(self, path: Path, sentence: str) -> None:
        self.failures[str(path)] = sentence if path.name in sentence else f"{path}: {sentence}"
        self.report.error(self.failures[str(path)])

    def _places(self, engine: Engine, *, compared: bool = False) -> Places:
        config = self.config
        name = config.settings_name(engine.name)
        out = None if self.options.out is None else self.options.out.resolve()
        return Places(tuple(self.files), name, out, engine.name if compared else "")

    def _squeeze(self) -> str:
        return squeeze_sentence(self.config.squeeze, self.config.squeeze_effort)

    def _write_tables(self) -> list[Overview]:
        """Tables of every folder of results, and of all runs together, which come last."""
        overviews = []
        for folder, members in self.places.summaries().items():
            whole = folder == self.places.combined
            failures = {
                name: sentence
                for name, sentence in self.failures.items()
                if whole or self.places.folder(Path(name)) == folder
            }
            with folder_lock(folder):  # who writes last has seen what all others have stored
                overview = Overview.of(folder, members, self.config, self.engine.name, failures)
                if self.second is not None:
                    beside = [self.second_places.beside(member) for member in members]
                    overview = overview.compared(self.second.name, beside)
                overview.write()
            overviews.append(overview)
        if self.second is not None:
            for folder, members in self.second_places.summaries().items():
                Overview.of(folder, members, self.config, self.second.name, {}).write()
        return overviews

    def _say_filtered(self) -> None:
        force = forces_sentence(self.forces[-1:])
        for path, count in self.kept.items():
            if not count:
                self.report.say(f"{path.name}: no grasp holds in all trials at {force}; no filtered file")
        total, files = sum(self.kept.values()), sum(count > 0 for count in self.kept.values())
        if total:
            name = filtered_folder(Path(), self.config)
            self.report.say(
                f"{counted(total, 'grasp')} of {counted(files, 'file')} hold at {force} and are unique: {name}/ in the results"
            )

    def _write_reports(self, overviews: Sequence[Overview]) -> None:
        """One page: of all runs together if there are several."""
        overview = overviews[-1]
        if overview.stored:
            page = write_page(overview, self.cases, hand=self.options.hand)
            self.report.say(f"report   {page}")

    def _say_where(self, overviews: Sequence[Overview]) -> None:
        overview = overviews[-1]
        if not overview.stored:
            return
        runs = f"; each run's own in {len(overviews) - 1} folders" if len(overviews) > 1 else ""
        size = f"{counted(len(overview.stored), 'file')}, {counted(len(overview.rows), 'row')}"
        self.report.say(f"results  {overview.folder} ({size}, {forces_sentence(overview.forces)}{runs})")
        for sentence in overview.left_out:
            self.report.say(f"         {sentence}")


if __name__ == "__main__":
    sys.exit(run_command(main))
