"""The rows of one work item: load, synthesise, test, make tables. Nothing here knows who runs it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.base.stage_clock import StageClock
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.version import VERSION
from warpgrasp.dataset.generations import Cell, Generation
from warpgrasp.dataset.items import WorkItem
from warpgrasp.dataset.object_assets import object_record, write_object_asset
from warpgrasp.dataset.outcomes import Made, Tested, selected_verdicts
from warpgrasp.dataset.plan import SIMULATED, ProtocolEntry
from warpgrasp.dataset.planned_objects import PlannedObject
from warpgrasp.dataset.simulated import simulated_grasps
from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.engines.registry import Engine, load_engine
from warpgrasp.eval.evaluation import evaluate_case
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.sharded.columns import Columns
from warpgrasp.grasps.sharded.rows import Lineage, VerdictColumns, grasp_table
from warpgrasp.grasps.usd_assets import hand_asset
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.objects import ObjectError, ObjectModel, load_object
from warpgrasp.synthesis.synthesize import synthesize

__all__ = ["ItemRows", "Maker", "engine_device", "item_columns"]

METRICS = ("penetration_depth", "self_penetration_depth", "contact_distance_consistency", "contact_area")
_CPU_BATCH = 32  # grasps; a larger batch is not faster on a CPU
_CUDA_BATCH = 16384


@dataclass
class ItemRows:
    """What became of an item."""

    columns: Columns
    tables: list[Any] = field(default_factory=list)
    """One per object, in the order of the item."""
    objects: list[dict[str, Any]] = field(default_factory=list)
    """What ``objects.parquet`` says of each."""
    failures: list[dict[str, str]] = field(default_factory=list)
    """Object, stage and sentence of each object without grasps."""
    configs: dict[str, Any] = field(default_factory=dict)
    requested: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    """Grasps that hold, by label of the protocol."""
    seconds: dict[str, float] = field(default_factory=dict)
    """CPU seconds by stage (wall seconds on CUDA); ``loop``, the optimiser's steps, is part of ``synthesize``."""


def item_columns(generation: Generation, hand: HandModel) -> Columns:
    """Columns of the files of a hand."""
    verdicts: dict[str, tuple[str, ...]] = {}
    for entry in generation.settings["protocols"]:
        protocol = ProtocolEntry(name=entry["name"], forces=tuple(entry["forces"]))
        for label, test in zip(protocol.labels(), protocol.protocols(), strict=True):
            verdicts[label] = test.trial_names
    terms = dict.fromkeys(term for other in generation.cells for term in other.terms)
    metrics = METRICS if generation.settings["metrics"] and verdicts else ()
    width = int(generation.settings["contact_width"])
    return Columns(hand.joint_names, width, tuple(terms), verdicts, metrics)


class Maker:
    """Makes items on one device; keeps hands, engine and compiled kernels from item to item.

    Args:
        folder: Data set; assets are written there.
        generations: Its plan.
        device: Warp device by name.
        workers: Threads of the physics engine; 0 takes all cores.
    """

    def __init__(
        self, folder: Path, generations: Sequence[Generation], *, device: str, workers: int = 0
    ) -> None:
        self.folder = folder
        self.generations = {generation.number: generation for generation in generations}
        self.device = device
        self.workers = workers
        self._hands: dict[str, HandModel] = {}
        self._engine: Engine | None = None
        self._clock = time.perf_counter if device.startswith("cuda") else time.process_time

    def grasps(self, item: WorkItem) -> ItemRows:
        """All rows of an item with a cell.

        Raises:
            OutputError: An asset cannot be written.
        """
        cell, generation = item.cell, self.generations[item.generation]
        assert cell is not None
        hand = self._hand(cell)
        rows = ItemRows(item_columns(generation, hand))
        started = self._clock()
        models: dict[str, ObjectModel] = {}
        for entry in item.objects:
            try:
                models[entry.key] = self._object(entry)
            except ObjectError as error:
                rows.failures.append({"object": entry.name, "stage": "load", "sentence": str(error)})
        rows.seconds["load"] = self._clock() - started
        sets = self._synthesize(cell, generation, hand, item.objects, models, rows)
        for entry in item.objects:
            if entry.key in models:
                rows.objects.append(self.described(entry, models[entry.key]))
            if entry.key in sets:
                self._add(rows, cell, generation, hand, entry, models[entry.key], sets[entry.key])
        return rows

    def model(self, entry: PlannedObject) -> ObjectModel:
        """One object of a plan, with its asset written.

        Raises:
            ObjectError: It cannot be used.
        """
        return self._object(entry)

    def described(self, entry: PlannedObject, model: ObjectModel) -> dict[str, Any]:
        """What ``objects.parquet`` says of an object."""
        return object_record(
            model, name=entry.name, licence=entry.licence, category=entry.category, split=entry.split
        )

    # --------------------------------------------------------------------------------------------------- stages

    def _hand(self, cell: Cell) -> HandModel:
        if cell.hand_hash not in self._hands:
            hand = load_hand(cell.hand_source)
            if hand.asset_hash != cell.hand_hash:
                raise ValueError(
                    f"hand {cell.hand} has changed since the plan was made (asset hash {cell.hand_hash[:8]} then, "
                    f"{hand.asset_hash[:8]} now); choose another --out"
                )
            hand_asset(hand, self.folder / "assets" / "hands")
            self._hands[cell.hand_hash] = hand
        return self._hands[cell.hand_hash]

    def _object(self, entry: PlannedObject) -> ObjectModel:
        model = load_object(entry.path, scale=entry.scale, target_size=entry.target_size)
        write_object_asset(model, self.folder)
        return dataclasses.replace(model, name=entry.name)

    def _synthesize(
        self,
        cell: Cell,
        generation: Generation,
        hand: HandModel,
        objects: Sequence[PlannedObject],
        models: Mapping[str, ObjectModel],
        rows: ItemRows,
    ) -> dict[str, Made]:
        """Grasps of every object; with a target, round after round for those that lack some."""
        settings = generation.settings
        made: dict[str, Made] = {}
        active = [entry for entry in objects if entry.key in models]
        for round_number in range(int(settings["rounds"]) if settings["target"] else 1):
            for batch in self._batches(active, cell.config(settings, device=self.device).candidate_count):
                started = self._clock()
                sets = self._batch(cell, settings, hand, batch, models, round_number, rows)
                _add_seconds(rows, "synthesize", self._clock() - started)
                for key, grasps in sets.items():
                    seed = _round_seed(cell.seed, round_number)
                    started = self._clock()
                    tested = self._test(settings, hand, models[key], grasps, rows, key)
                    _add_seconds(rows, "test", self._clock() - started)
                    if tested is not None:
                        made.setdefault(key, Made()).add(grasps, seed, tested)
            if settings["target"]:
                wanted = int(settings["target"])
                active = [entry for entry in active if entry.key in made and made[entry.key].good() < wanted]
        return made

    def _batches(self, objects: Sequence[PlannedObject], candidates: int) -> list[Sequence[PlannedObject]]:
        limit = _CUDA_BATCH if self.device.startswith("cuda") else _CPU_BATCH
        step = max(limit // candidates, 1)
        return [objects[start : start + step] for start in range(0, len(objects), step)]

    def _batch(
        self,
        cell: Cell,
        settings: Mapping[str, Any],
        hand: HandModel,
        batch: Sequence[PlannedObject],
        models: Mapping[str, ObjectModel],
        round_number: int,
        rows: ItemRows,
    ) -> dict[str, GraspSet]:
        """Synthesise a batch; where it fails, its objects are tried one by one."""
        config = dataclasses.replace(
            cell.config(settings, device=self.device), seed=_round_seed(cell.seed, round_number)
        )
        chosen = [models[entry.key] for entry in batch]
        try:
            if cell.method == SIMULATED:
                sets = [simulated_grasps(hand, model, config) for model in chosen]
            else:
                clock = StageClock()
                sets = synthesize(hand, chosen, config, clock=clock)
                kind = "wall" if self.device.startswith("cuda") else "cpu"
                _add_seconds(rows, "loop", clock.seconds()["loop"][kind])
        except OutputError:
            raise
        except Exception as error:  # whatever it is, the other objects finish
            if len(batch) > 1:
                single = [self._batch(cell, settings, hand, [e], models, round_number, rows) for e in batch]
                return {key: grasps for part in single for key, grasps in part.items()}
            rows.failures.append(_failure(batch[0].name, "synthesize", error))
            return {}
        rows.requested += sum(map(len, sets))
        return {entry.key: grasps for entry, grasps in zip(batch, sets, strict=True)}

    def _test(
        self,
        settings: Mapping[str, Any],
        hand: HandModel,
        model: ObjectModel,
        grasps: GraspSet,
        rows: ItemRows,
        key: str,
    ) -> Tested | None:
        """Outcomes of the grasps with status OK under every protocol; ``None`` where the tests fail."""
        tested = Tested(grasps.status == GraspStatus.OK, {}, {})
        if not settings["protocols"] or not tested.ok.any():
            return tested
        case = GraspCase(model.path, "", grasps.select(tested.ok), hand, model)
        try:
            for entry in settings["protocols"]:
                self._protocol(
                    ProtocolEntry(name=entry["name"], forces=tuple(entry["forces"])), case, settings, tested
                )
        except (OutputError, ImportError):
            raise
        except Exception as error:  # whatever it is, the other objects finish
            rows.failures.append(_failure(model.name, "test", error))
            return None
        return tested

    def _protocol(
        self, entry: ProtocolEntry, case: GraspCase, settings: Mapping[str, Any], tested: Tested
    ) -> None:
        if self._engine is None:
            name = str(settings["engine"])
            self._engine = load_engine(name, workers=self.workers, device=engine_device(name, self.device))
        protocols = entry.protocols()
        config = EvaluationConfig(protocol=protocols[0], forces=entry.forces)
        result = evaluate_case(case, config, self._engine)
        order = np.argsort([protocol.push_force for protocol in protocols])
        labels = [entry.labels()[index] for index in order]
        for number, label in enumerate(labels):
            verdict = result.verdict(number)
            names = np.asarray(
                [FailureReason(int(value)).name.lower() for value in verdict.reason], dtype=np.str_
            )
            tested.verdicts[label] = VerdictColumns(
                tested.ok,
                _spread(tested.ok, verdict.trial_success, False),
                _spread(tested.ok, verdict.displacement.astype(np.float32), np.nan),
                _spread(tested.ok, names, ""),
            )
        if settings["metrics"]:
            for name in METRICS:
                tested.metrics[name] = _spread(tested.ok, result.metrics()[name], np.nan)

    def _add(
        self,
        rows: ItemRows,
        cell: Cell,
        generation: Generation,
        hand: HandModel,
        entry: PlannedObject,
        model: ObjectModel,
        made: Made,
    ) -> None:
        grasps, seeds, tested = made.joined()
        for value, count in zip(*np.unique(grasps.status, return_counts=True), strict=True):
            name = GraspStatus(int(value)).name
            rows.statuses[name] = rows.statuses.get(name, 0) + int(count)
        for label, outcome in tested.verdicts.items():
            rows.held[label] = rows.held.get(label, 0) + int(outcome.held().sum())
        lineage = Lineage(
            object=entry.name,
            object_hash=model.mesh_hash,
            scale=model.scale,
            split=entry.split,
            method=cell.method,
            config_hash=cell.config_hash,
            task=f"{cell.id[:10]}-{entry.key[:10]}",
        )
        rows.configs.setdefault(cell.config_hash, _config_of(grasps))
        kept = np.flatnonzero(made.kept(generation.settings["keep"]))
        rows.tables.append(
            grasp_table(
                grasps.select(kept),
                rows.columns,
                lineage,
                seed=seeds[kept],
                index=kept,
                verdicts={
                    label: selected_verdicts(outcome, kept) for label, outcome in tested.verdicts.items()
                },
                metrics={name: values[kept] for name, values in tested.metrics.items()},
            )
        )


def engine_device(engine: str, device: str) -> str:
    """Where an engine runs beside a synthesis on ``device``: MuJoCo on the CPU, others on the same device."""
    return "cpu" if engine == "mujoco" else device


def _spread(chosen: NDArray[np.bool_], values: NDArray[Any], fill: Any) -> NDArray[Any]:
    """Values of the chosen rows at their places among all."""
    result = np.full((len(chosen), *values.shape[1:]), fill, dtype=values.dtype)
    result[chosen] = values
    return result


def _round_seed(seed: int, round_number: int) -> int:
    """Seed of a round; that of the first is the one of the plan."""
    if round_number == 0:
        return seed
    return int(np.random.SeedSequence([seed, round_number]).generate_state(1, np.uint64)[0] >> np.uint64(2))


def _config_of(grasps: GraspSet) -> dict[str, Any]:
    """The resolved configuration, without what lies in columns of their own."""
    config = dict(grasps.metadata.get("config", {}))
    return {name: value for name, value in config.items() if name not in ("seed", "device")}


def _failure(name: str, stage: str, error: Exception) -> dict[str, str]:
    return {"object": name, "stage": stage, "sentence": str(error) or type(error).__name__}


def _add_seconds(rows: ItemRows, stage: str, seconds: float) -> None:
    rows.seconds[stage] = rows.seconds.get(stage, 0.0) + seconds


def versions() -> dict[str, str]:
    """Versions of what decides the rows."""
    found = {"warpgrasp": VERSION, "numpy": np.__version__}
    for package in ("warp-lang", "mujoco"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
