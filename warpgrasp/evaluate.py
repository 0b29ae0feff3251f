"""``python -m warpgrasp.evaluate``: shake grasps in a physics engine and report what holds.

Results lie in ``evaluation/<protocol>/`` beside the grasps: one npz file of columns per grasp file, ``results.csv`` and
``results.json``; with ``--compare`` also ``agreement.json`` and the columns of the second engine in a folder. Exit codes: 0
all grasps were simulated, 1 files or grasps had to be skipped, 2 wrong usage, 130 interrupted; the same command continues.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from warpgrasp.atomic_file import OutputError, write_text
from warpgrasp.dataset import GraspSet
from warpgrasp.eval.agreement import Comparison
from warpgrasp.eval.cases import EVALUATION_FOLDER, CaseError, GraspCase, grasp_files, load_case
from warpgrasp.eval.engines import ENGINES, Engine, load_engine
from warpgrasp.eval.evaluation import EvaluationConfig, evaluate_case
from warpgrasp.eval.figures import import_matplotlib
from warpgrasp.eval.html_report import ReportContent, ReportEntry, write_report
from warpgrasp.eval.metrics_diversity import unique_grasps
from warpgrasp.eval.protocols import PROTOCOLS
from warpgrasp.eval.report import EvaluationReport
from warpgrasp.eval.results import CaseResult, result_rows
from warpgrasp.eval.targets import SqueezeRule

__all__ = ["EvaluateOptions", "keep_unique_successes", "main"]

if TYPE_CHECKING:
    ProtocolName = str
    EngineName = str
    SqueezeName = str
else:  # choices are checked and listed by the command line parser
    ProtocolName = Literal[tuple(PROTOCOLS)]
    EngineName = Literal[("auto", *ENGINES)]
    SqueezeName = Literal[tuple(rule.value for rule in SqueezeRule)]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Test grasps in physics: success, uniqueness, entropy, penetration, and why grasps fail."""

    inputs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of warpgrasp.generate, or single grasp files (npz)."""
    protocol: ProtocolName = "graspqp"
    """How grasps are tested."""
    force: tuple[float, ...] = ()
    """Pushes of the graspqp protocol [N]; 5 by default."""
    engine: EngineName = "auto"
    """Physics engine; auto takes Newton's MuJoCo-Warp solver where there is a CUDA device, else MuJoCo on all cores."""
    compare: EngineName | None = None
    """A second engine that judges the same grasps; agreement and Cohen's kappa are reported, and where they differ."""
    workers: int = 0
    """Threads; 0 takes all cores. Results do not depend on it."""
    out: Path | None = None
    """Folder of the results (default: evaluation/PROTOCOL beside the grasps)."""
    hand: str | None = None
    """Name or path of the hand, where the grasp files do not find it; grasps of another hand are refused."""
    squeeze: SqueezeName = "torque"
    """Where squeeze targets come from: the file's torques or positions, or extrapolation from the pregrasp."""
    squeeze_effort: float | None = None
    """With --squeeze torque: rescale the largest torque to this fraction of its limit; above 1 every joint is bounded by
    its own limit."""
    all_metrics: bool = False
    """Also compute simulation displacement, intersection volume, epsilon and volume of the wrench space."""
    filter: bool = False
    """Write the grasps that hold in all trials at the largest force and are unique into filtered/, best first."""
    report: bool = False
    """Also write report.html beside the results: tables, plots, heat maps, pictures and a 3-D viewer of the grasps in one
    page that needs no network."""
    resume: Annotated[bool, tyro.conf.arg(help_behavior_hint="(default: True)")] = True
    """Keep finished results; --no-resume computes all again."""

    def config(self) -> EvaluationConfig:
        """Everything that decides the numbers.

        Raises:
            ValueError: A force the protocol does not take, or a value out of range.
        """
        if self.squeeze_effort is not None and not self.squeeze_effort >= 0.0:
            raise ValueError(f"--squeeze-effort must be at least 0 (got {self.squeeze_effort})")
        return EvaluationConfig(
            protocol=PROTOCOLS[self.protocol],
            forces=self.force,
            squeeze=SqueezeRule(self.squeeze),
            squeeze_effort=self.squeeze_effort,
            all_metrics=self.all_metrics,
        )


def main(arguments: Sequence[str] | None = None, *, report: EvaluationReport | None = None) -> int:
    """Run the command line and return its exit code."""
    report = report or EvaluationReport()
    options = tyro.cli(EvaluateOptions, args=arguments, prog="python -m warpgrasp.evaluate")
    _quiet_warp()
    try:
        run = _Run(options, report)
    except (ValueError, ImportError) as error:
        report.error(str(error))
        return 2
    try:
        run.all_files()
    except KeyboardInterrupt:
        report.error(
            f"interrupted; {len(run.finished)} finished files are kept. The same command continues there."
        )
        return 130
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
        self.engine: Engine = load_engine(options.engine, workers=options.workers)
        self.second: Engine | None = None
        if options.compare is not None:
            self.second = load_engine(options.compare, workers=options.workers)
            if self.second.name == self.engine.name:
                raise ValueError(
                    f"--compare needs another engine than --engine (got {self.engine.name} twice)"
                )
            self.comparison = self._no_comparison()
        self.files = grasp_files(options.inputs)
        _check_names(self.files, options.out)
        if options.report:
            import_matplotlib()  # a missing package is found before hours of simulation
        # By folder of results: objects of one name may lie in several.
        self.rows: dict[Path, list[dict[str, Any]]] = {}
        self.comparisons: dict[Path, Comparison] = {}
        self.entries: list[ReportEntry] = []
        self.finished: list[Path] = []
        self.failures: dict[str, str] = {}
        self.bad_grasps: dict[str, dict[str, int]] = {}
        self.kept = 0
        for protocol in self.config.protocols():
            report.say(f"{protocol.sentence()}; engine {self.engine.name}; squeeze {self._squeeze()}")

    def all_files(self) -> None:
        """Evaluate file by file, write each result at once, then the summary."""
        with self.report.files(len(self.files)) as update:
            for index, path in enumerate(self.files):
                update(path.stem, index)
                try:
                    case = load_case(path, hand=self.options.hand)
                    result, other = self._results(case, _share_of_file(update, path.stem, index))
                except (CaseError, ValueError) as error:
                    self._fail(path, str(error))
                    continue
                self._take(case, result)
                if other is not None:
                    self._compare(case, result, other)
        self._write_summary()
        self.report.table([row for rows in self.rows.values() for row in rows])
        if self.second is not None and self.finished:
            self.report.comparison(self.comparison)
        for sentence in self._bad_sentences():
            self.report.error(sentence)
        for sentence in self.failures.values():
            self.report.error(sentence)
        if self.failures:
            self.report.error(f"{len(self.failures)} of {len(self.files)} files were skipped.")
        if self.options.filter:
            self.report.say(f"{self.kept} grasps hold and are unique: filtered/ beside the results")
        if self.options.report:
            self._write_reports()
        for folder in sorted({path.parent for path in self.finished}):
            self.report.say(f"results  {folder}")

    def _results(
        self, case: GraspCase, progress: Callable[[float], None]
    ) -> tuple[CaseResult, CaseResult | None]:
        """The result of a file, and that of the engine to compare with if there is one."""
        folder, second = self._folder(case.path), self.second
        if second is None:
            return self._result(case, self.engine, folder, progress), None
        first = self._result(case, self.engine, folder, lambda share: progress(0.5 * share))
        beside = folder / f"compared_{second.name}"
        return first, self._result(case, second, beside, lambda share: progress(0.5 + 0.5 * share))

    def _result(
        self, case: GraspCase, engine: Engine, folder: Path, progress: Callable[[float], None]
    ) -> CaseResult:
        """The result of a file: from an earlier run when nothing that decides it has changed, else computed."""
        path = folder / case.path.name
        if self.options.resume and path.exists():
            try:
                earlier = CaseResult.load(path)
            except ValueError:
                earlier = None  # damaged: computed again
            if earlier is not None and earlier.metadata.get("key") == self.config.key(case, engine.name):
                return earlier
        total = len(case.grasps) * len(self.config.protocols())
        result = evaluate_case(
            case, self.config, engine, progress=lambda done: progress(done / max(total, 1))
        )
        result.save(path)
        return result

    def _no_comparison(self) -> Comparison:
        assert self.second is not None
        return Comparison(self.engine.name, self.second.name)

    def _compare(self, case: GraspCase, result: CaseResult, other: CaseResult) -> None:
        own = self.comparisons.setdefault(self._folder(case.path), self._no_comparison())
        for comparison in (self.comparison, own):
            comparison.add(case.path.stem, result, other)

    def _take(self, case: GraspCase, result: CaseResult) -> None:
        folder = self._folder(case.path)
        self.finished.append(folder / case.path.name)
        grasps = case.grasps
        root = (grasps.root_position, grasps.root_quaternion, grasps.joint_position)
        rows = result_rows(result, root, (case.hand.dof_lower, case.hand.dof_upper))
        self.rows.setdefault(folder, []).extend(rows)
        if self.options.report:
            self.entries.append(ReportEntry(case, result, rows))
        bad = result.bad_count()
        if bad:
            self.bad_grasps[str(case.path)] = bad
        if self.options.filter:
            kept = keep_unique_successes(grasps, result)
            self.kept += len(kept)
            kept.save(folder / "filtered" / case.path.name)

    def _fail(self, path: Path, sentence: str) -> None:
        self.failures[str(path)] = sentence if path.name in sentence else f"{path}: {sentence}"
        self.report.error(self.failures[str(path)])

    def _folder(self, path: Path) -> Path:
        return self.options.out or path.parent / EVALUATION_FOLDER / self.config.protocol.name

    def _squeeze(self) -> str:
        effort = (
            "" if self.config.squeeze_effort is None else f" at {self.config.squeeze_effort:g} of the limit"
        )
        return f"{self.config.squeeze.value}{effort}"

    def _write_reports(self) -> None:
        """``report.html`` in every folder that got results."""
        for folder in sorted({path.parent for path in self.finished}):
            entries = [entry for entry in self.entries if self._folder(entry.case.path) == folder]
            content = ReportContent(
                entries=entries,
                conditions=[
                    *(protocol.sentence() for protocol in self.config.protocols()),
                    f"engine {self.engine.name}; squeeze {self._squeeze()}",
                ],
                problems=[*self.failures.values(), *self._bad_sentences()],
            )
            self.report.say(f"report   {write_report(folder / 'report.html', content)}")

    def _bad_sentences(self) -> list[str]:
        """What is wrong with grasps that could not be simulated, one sentence per file."""
        sentences = []
        for name, counts in self.bad_grasps.items():
            bad = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in counts.items())
            sentences.append(f"{name}: {bad} of its grasps; they count as failed.")
        return sentences

    def _write_summary(self) -> None:
        """``results.csv`` and ``results.json`` in every folder that got results, or in that of the first input."""
        folders = {path.parent for path in self.finished} or {self._folder(self.files[0])}
        for folder in folders:
            rows = self.rows.get(folder, [])
            content = {
                "protocol": [protocol.sentence() for protocol in self.config.protocols()],
                "engine": self.engine.name,
                "squeeze": self._squeeze(),
                "rows": [_without_nan(row) for row in rows],
                "skipped": self.failures,
                "bad_grasps": self.bad_grasps,
            }
            write_text(folder / "results.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
            write_text(folder / "results.csv", _csv(rows, content["protocol"]))
            if self.second is not None:
                comparison = self.comparisons.get(folder, self._no_comparison())
                agreement = {"protocol": content["protocol"], **comparison.content()}
                text = json.dumps(agreement, indent=2, allow_nan=False)
                write_text(folder / "agreement.json", text + "\n")


def keep_unique_successes(grasps: GraspSet, result: CaseResult) -> GraspSet:
    """The grasps that hold in all trials at the largest force, one per bin of the unique grasp rate, best first."""
    verdict = result.verdict(int(np.argmax(result.force)))
    order = grasps.order()
    best = grasps.select(order[verdict.success_all[order]])
    return best.select(unique_grasps(best.root_position, best.root_quaternion, best.joint_position))


def _check_names(files: Sequence[Path], out: Path | None) -> None:
    """Two grasp files of one name cannot share a folder of results."""
    if out is None:
        return
    names = [path.name for path in files]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"--out cannot hold the results of several files named {repeated[0]}; leave --out away"
        )


def _share_of_file(update: Callable[[str, float], None], name: str, index: int) -> Callable[[float], None]:
    return lambda share: update(name, index + share)


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in row.items()
    }


def _csv(rows: Sequence[dict[str, Any]], protocol: Any) -> str:
    """Rows with the protocol sentence as the last column, so that no number travels without its conditions."""
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0], "protocol"], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    sentences = protocol * (len(rows) // len(protocol))
    for row, sentence in zip(rows, sentences, strict=True):
        writer.writerow({**row, "protocol": sentence})
    return text.getvalue()


def _quiet_warp() -> None:
    """Keep Warp's own messages about kernels out of the output."""
    import warp as wp

    if hasattr(wp.config, "log_level"):
        wp.config.log_level = wp.LOG_ERROR
    else:  # Warp 1.17
        wp.config.quiet = True  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
