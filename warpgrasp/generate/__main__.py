"""``python -m warpgrasp.generate``: object meshes and a hand in, grasp files out.

Without objects it runs the demo: three shipped objects, 8 grasps each, 1000 steps. Exit codes: 0 all objects done,
1 some objects failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from warpgrasp.base.atomic_file import OutputError, write_text
from warpgrasp.base.command import end_of, run_command, stop_requested
from warpgrasp.base.cores import core_count
from warpgrasp.base.json_text import json_text
from warpgrasp.base.output_text import print_any_text
from warpgrasp.base.stage_clock import StageClock
from warpgrasp.base.warp_device import choose_device
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.generate import STARTED
from warpgrasp.generate.batch import BatchMaker, reason_of
from warpgrasp.generate.batch_size import (
    bytes_for_batch,
    bytes_of_batch,
    largest_batch,
    memory_sentence,
)
from warpgrasp.generate.diagnosis import diagnosis
from warpgrasp.generate.entries import Entry, entries_of, entry_key
from warpgrasp.generate.object_paths import content_hash, object_paths
from warpgrasp.generate.object_rows import ObjectRow
from warpgrasp.generate.options import GenerateOptions, parse_options
from warpgrasp.generate.pool import WorkerPool
from warpgrasp.generate.run_folder import RunFolder
from warpgrasp.generate.settings import check_hand, settings_of
from warpgrasp.generate.side_by_side import SideBySide
from warpgrasp.generate.terminal import Report
from warpgrasp.generate.valid_grasps import Judge
from warpgrasp.grasps.case import load_recorded_object
from warpgrasp.grasps.gallery import best_tiles, write_gallery
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.usd_assets import hand_asset
from warpgrasp.hands import load_hand
from warpgrasp.hands.check.asset import grasp_range
from warpgrasp.hands.fingertip_force import strength_warnings
from warpgrasp.objects import (
    ObjectError,
    ObjectModel,
    load_object,
)
from warpgrasp.objects.sizes import reach_advice
from warpgrasp.synthesis.methods import find_method, method_names

__all__ = ["GenerateOptions", "main", "parse_options"]

_GALLERY_TILES = 9


def main(arguments: Sequence[str] | None = None, *, report: Report | None = None) -> int:
    """Run the command line and return its exit code."""
    report = report or Report()
    clock = StageClock()
    clock.add("import", wall=time.perf_counter() - STARTED, cpu=time.process_time())
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = parse_options(arguments)
        if options.list_methods:
            for name in method_names():
                report.say(f"{name:<24} {find_method(name).summary}")
            return 0
        quiet_warp()
        print_any_text()
        run = _Run(options, arguments, report, clock)
    except (ValueError, OSError, ImportError) as error:
        report.error(str(error))
        return 2
    try:
        run.all_objects()
    except KeyboardInterrupt as error:
        word, code = end_of(error)
        report.error(
            f"{word}; {len(run.rows)} finished objects are kept in {run.folder.path}. "
            "The same command continues there."
        )
        with suppress(OutputError):
            run.folder.write_summary()
        return code
    except OutputError as error:  # a full disk fails for every object alike
        report.error(f"{error} {len(run.rows)} finished objects are kept; the same command continues.")
        return 1
    return 1 if run.failures else 0


class _Run:
    """One command: the folder, the hand, and what became of every object so far."""

    def __init__(
        self, options: GenerateOptions, arguments: Sequence[str], report: Report, clock: StageClock
    ) -> None:
        self.options = options
        self.report = report
        self.clock = clock
        self.config = options.synthesis_config()
        if options.workers < 0:
            raise ValueError(f"--workers must be at least 0 (got {options.workers})")
        self.entries = entries_of(object_paths(options.objects), options.sizes)
        self.total = len(self.entries)
        report.say(f"loading hand {options.hand}")
        with clock.stage("hand"):
            self.hand = load_hand(options.hand)
        check_hand(self.hand, self.config)
        self.device = choose_device(options.device)
        judge = Judge.of(options) if options.valid_only else None
        self._maker = BatchMaker(self.hand, self.config, judge, report, clock)
        self._side_by_side: SideBySide | None = None
        self._arguments = list(arguments)
        self.folder = RunFolder(
            options.folder(self.hand.name),
            settings_of(options, self.hand),
            resume=options.resume,
            usd=options.usd,
        )
        # A hand that cannot be copied is refused now, not after the first batch.
        hand_asset(self.hand, self.folder.path / "assets")
        if self.folder.removed:
            report.say(
                f"grasps of {self.folder.removed} objects made with other options were removed (--no-resume)"
            )
        self.rows: list[ObjectRow] = []
        self.failures: dict[str, str] = {}
        self.skipped = 0
        self._range: tuple[float, float] | None = None
        self._sizes: dict[str, str] = {}  # advice by object
        self._entries: dict[str, Entry] = {}  # of what is queued, by its name
        self._models: dict[str, ObjectModel] = {}  # of the gallery
        self._pending: list[ObjectModel] = []
        grasps, every = self.config.grasp_count, self.config.candidate_count
        selection = f"; the best {grasps} of {every} per object" if every > grasps else ""
        report.say(
            f"{self.hand.name}: {len(self.hand.joint_names)} joints; {options.grasp_type} grasps with "
            f"{options.contact_count} contacts; {options.energy_name}, {options.optimizer_title}, "
            f"{options.step_count} steps{selection}; device {self.device}; output {self.folder.path}"
        )
        if judge is not None:
            report.say(judge.sentence(self.hand))
        for sentence in strength_warnings(self.hand):
            report.warn(sentence)

    def all_objects(self) -> None:
        """Work through the objects batch by batch, then show what came out."""
        if not self._runs_beside():
            self._all_batches()
        else:
            with (
                stop_requested() as stop,
                self.report.side_by_side(),
                WorkerPool(self._worker_count(), self._arguments) as pool,
            ):
                self._side_by_side = SideBySide(
                    pool, self.report, self.clock, stop=stop, store=self._store, fail=self._fail_model
                )
                self._all_batches()
                self._side_by_side.drain()
        self._finish()

    def _all_batches(self) -> None:
        for entry in self.entries:
            if self._side_by_side and self._side_by_side.is_stopping:
                return
            self._take(entry)
            if self._pending and self._batch_is_full():
                self._flush()
        self._flush()

    def _worker_count(self) -> int:
        """Processes that make grasps; one, this one, where there is work for no more."""
        wanted = self.options.workers or (1 if self.device.is_cuda else core_count())
        return max(1, min(wanted, self.total))

    def _runs_beside(self) -> bool:
        """Whether processes make the grasps: several, or one that keeps a GPU busy while this one reads and writes files."""
        return self._worker_count() > 1 or (self.device.is_cuda and self.total > 1)

    def _take(self, entry: Entry) -> None:
        """Load one object and queue it, unless it is finished or cannot be used."""
        elsewhere = self._side_by_side.models if self._side_by_side else []
        taken = {model.name for model in (*self._pending, *elsewhere)} | {row.name for row in self.rows}
        separate = self.options.reading.parts == "separate"  # their number is known when the file is read
        row = None if separate else self.folder.finished(entry, content_hash(entry.path), taken)
        if row is None:
            self.report.say(f"loading {entry.path.name}{f' ({entry.label})' if entry.label else ''}")
            try:
                model = self._load(entry)
            except ObjectError as error:
                self._fail(entry, str(error))
                return
            if model.part_count > 1 and not entry.several:
                self.total += model.part_count - 1
                for part in range(1, model.part_count + 1):
                    self._take(dataclasses.replace(entry, part=part, several=True))
                return
            for repair in model.repairs:
                self.report.say(f"  {repair}")
            advice = reach_advice(model.extent, self._reach())
            if advice:
                self._sizes[entry.key] = advice
                self.report.say(f"  {entry.path.name} {advice}")
            row = self.folder.finished(entry, model.file_hash, taken)
            row = row or self.folder.with_new_stage(entry, self.hand, model, taken)
        if row is not None:
            self.skipped += 1
            self.rows.append(row)
            return
        name = self.folder.unique_name(entry, taken)
        self._entries[name] = entry
        self._pending.append(dataclasses.replace(model, name=name))

    def _load(self, entry: Entry) -> ObjectModel:
        options = self.options
        with self.clock.stage("objects"):
            return load_object(
                entry.path,
                scale=options.scale,
                target_size=options.target_size,
                size=entry.size,
                reading=options.reading,
                part=entry.part,
            )

    def _reach(self) -> tuple[float, float]:
        """Distances between fingertips that face each other [m]."""
        if self._range is None:
            self._range = grasp_range(self.hand)
        return self._range

    def _fail(self, entry: Entry, sentence: str) -> None:
        self.failures[entry.key] = sentence if entry.path.name in sentence else f"{entry.key}: {sentence}"
        self.report.error(self.failures[entry.key])
        self.folder.fail(entry, self.failures[entry.key])

    def _fail_model(self, model: ObjectModel, sentence: str) -> None:
        self._fail(self._entries[model.name], sentence)

    def _batch_is_full(self) -> bool:
        limit = largest_batch(self.device)
        if self._side_by_side:  # no process shall wait for the others
            limit = min(limit, -(-self.total // self._worker_count()) * self.config.candidate_count)
        grasps = (len(self._pending) + 1) * self.config.candidate_count
        available, needed = bytes_for_batch(self.device), self._needed(self._pending, len(self._pending) + 1)
        return grasps > limit or (available is not None and needed > available)

    def _needed(self, models: Sequence[ObjectModel], count: int) -> int:
        return bytes_of_batch(models, count, self.hand, self.config)

    def _flush(self) -> None:
        models, self._pending = self._pending, []
        if models:
            needed, available = self._needed(models, len(models)), bytes_for_batch(self.device)
            if available is not None and needed > available:
                for model in models:
                    sentence = memory_sentence(model, needed, available, self.config)
                    self._fail(self._entries[model.name], sentence)
                return
            self._synthesize(models)

    def _synthesize(self, models: list[ObjectModel]) -> None:
        """Run one batch and write its files at once; where a batch fails, its objects are tried one by one."""
        elsewhere = len(self._side_by_side.models) if self._side_by_side else 0
        done = len(self.rows) + len(self.failures) + elsewhere
        names = models[0].name if len(models) == 1 else f"{len(models)} objects"
        title = f"{names} ({done + 1}-{done + len(models)} of {self.total})" if self.total > 1 else names
        if self._side_by_side:
            self._side_by_side.submit(models, title)
            return
        started = time.perf_counter()
        with stop_requested() as stop:  # the best grasps so far are written before the command ends
            try:
                sets = self._maker.make(models, title, stop)
            except OutputError:
                raise
            except Exception as error:  # whatever it is, the other objects finish
                if len(models) == 1:
                    self._fail(self._entries[models[0].name], reason_of(error))
                    return
            else:
                self._store(models, sets, time.perf_counter() - started)
                return
        for model in models:
            self._synthesize([model])

    def _store(self, models: Sequence[ObjectModel], sets: Sequence[GraspSet], seconds: float) -> None:
        names = models[0].name if len(models) == 1 else f"{len(models)} objects"
        for model, grasps in zip(models, sets, strict=True):
            if not len(grasps):
                if "stopped_at_step" not in grasps.metadata:
                    self._fail(
                        self._entries[model.name],
                        f"no grasp is valid: {grasps.metadata['valid_only']['sentence']}",
                    )
                continue
            with self.clock.stage("files"):
                label = self._entries[model.name].label
                row = self.folder.store(
                    model.name, grasps, self.hand, model, seconds=seconds / len(models), label=label
                )
            if row.stopped_step:
                self.report.say(
                    f"{model.name}: its best grasps after {row.stopped_step} of {self.config.step_count} steps are in "
                    f"{self.folder.npz_path(model.name)}; the same command makes it anew"
                )
                continue
            self.rows.append(row)
            if len(self._models) < _GALLERY_TILES:
                self._models[model.name] = model
        self.report.say(f"{names}: {seconds:.1f} s")

    def _finish(self) -> None:
        place = {entry.key: number for number, entry in enumerate(self.entries)}
        paths = {str(entry.path): number for number, entry in reversed(list(enumerate(self.entries)))}

        def order(row: ObjectRow) -> tuple[int, str]:
            key = entry_key(row.path, row.label)
            return place.get(key, paths.get(row.path, len(place))), row.label

        self.rows.sort(key=order)
        with self.clock.stage("summary"):
            self.folder.write_summary()
            gallery = self._write_gallery()
        write_text(self.folder.path / "timing.json", json_text({"stages": self.clock.seconds()}))
        self.report.table(self.rows)
        for row in self.rows:
            size = self._sizes.get(entry_key(row.path, row.label), "")
            lost = diagnosis(row.name, row.status_count, self.config, size=size)
            if lost:
                self.report.say(lost)
        if self.failures:
            self.report.error(
                f"{len(self.failures)} of {self.total} objects failed, for the reasons above; they also stand in "
                f"{self.folder.path / 'summary.json'}"
            )
        if self.skipped:
            self.report.say(
                f"{self.skipped} of {self.total} objects were finished before; --no-resume starts over"
            )
        if gallery:
            self.report.say(f"pictures  {gallery}")
        if self.rows:
            first = self.rows[0].name
            self.report.say(f"grasps    {self.folder.npz_path(first)}  (GraspSet.load)")
            if self.folder.usd != "none":
                self.report.say(f"stages    {self.folder.usd_path(first)}  (usdview, Omniverse)")

    def _write_gallery(self) -> Path | None:
        """Picture the best grasps of up to nine objects."""
        sets: list[GraspSet] = []
        models: list[ObjectModel] = []
        for row in self.rows[:_GALLERY_TILES]:
            grasps = GraspSet.load(self.folder.npz_path(row.name))
            model = self._models.get(row.name)
            if model is None:
                try:
                    model = load_recorded_object(Path(row.path), grasps.metadata["object"])
                except (ValueError, OSError):
                    continue  # the file of a finished object has gone
                model = dataclasses.replace(model, name=row.name)
            sets.append(grasps)
            models.append(model)
        tiles = best_tiles(sets, self.hand, models, count=_GALLERY_TILES)
        return write_gallery(self.folder.path / "gallery.png", tiles) if tiles else None


if __name__ == "__main__":
    sys.exit(run_command(main))
