"""A plan resolved against the disk: cells, objects with their hashes and splits, written as ``plan/<number>.json``.

A *cell* is one hand, grasp type, contact count, method and seed. A *task* is one cell and one object. The first plan of a
folder is generation 0; ``--extend`` adds a generation with the tasks that no earlier one has, so that nothing is ever made
twice and the items of earlier generations stay what they were. All processes of a cluster may do this at the same time:
they write the same text.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.base.atomic_file import write_text
from warpgrasp.base.json_text import json_text, to_json
from warpgrasp.dataset.plan import SIMULATED, MethodEntry, Plan
from warpgrasp.dataset.planned_objects import PlannedObject, digest, planned_objects
from warpgrasp.grasps.sharded.columns import DATA_SET_VERSION
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["Cell", "Generation", "PlanChangedError", "open_generations", "read_generations"]


class PlanChangedError(ValueError):
    """The folder holds a data set of another plan; the sentence says how they differ."""


@dataclass(frozen=True)
class Cell:
    """One hand, grasp type, contact count, method and seed."""

    id: str
    hand: str
    hand_source: str
    """What :func:`~warpgrasp.hands.load_hand` takes."""
    hand_hash: str
    grasp_type: str
    contact_count: int
    method: str
    arguments: tuple[str, ...]
    seed: int
    terms: tuple[str, ...]
    config_hash: str

    def config(self, settings: Mapping[str, Any], *, device: str) -> SynthesisConfig:
        """The configuration of its synthesis; tests select better than a choice among candidates does."""
        base = _method_config(self.arguments)
        selects = settings["protocols"] and "--candidates" not in self.arguments
        return dataclasses.replace(
            base,
            grasp_type=self.grasp_type,
            contact_count=self.contact_count,
            grasp_count=int(settings["grasps"]),
            candidates=1 if selects else base.candidates,
            step_count=int(settings["steps"] or base.step_count),
            sample_count=int(settings["samples"] or base.sample_count),
            seed=self.seed,
            device=device,
        )


@dataclass(frozen=True)
class Generation:
    """Everything that decides the rows of one plan."""

    number: int
    settings: dict[str, Any]
    cells: tuple[Cell, ...]
    objects: tuple[PlannedObject, ...]
    left_out: tuple[str, ...] = ()
    """Combinations that do not exist, one sentence each."""

    def to_text(self) -> str:
        """The text of its file; the same plan gives the same text on every machine."""
        content = {"schema_version": DATA_SET_VERSION, **to_json(self)}
        del content["type"]
        for name in ("cells", "objects"):
            content[name] = [{k: v for k, v in entry.items() if k != "type"} for entry in content[name]]
        return json_text(content)

    @classmethod
    def from_text(cls, text: str) -> Generation:
        """Read :meth:`to_text`."""
        content = json.loads(text)
        if int(content["schema_version"]) > DATA_SET_VERSION:
            raise ValueError(f"plan of version {content['schema_version']}; update warpgrasp")
        cells = [
            Cell(**{**entry, "arguments": tuple(entry["arguments"]), "terms": tuple(entry["terms"])})
            for entry in content["cells"]
        ]
        objects = [PlannedObject(**entry) for entry in content["objects"]]
        return cls(
            int(content["number"]),
            content["settings"],
            tuple(cells),
            tuple(objects),
            tuple(content["left_out"]),
        )


def read_generations(folder: Path) -> list[Generation]:
    """The generations of a data set, in order; none for a new folder.

    Raises:
        ValueError: A file of them cannot be read.
    """
    found = []
    for path in sorted((folder / "plan").glob("[0-9]*.json")):
        try:
            found.append(Generation.from_text(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} cannot be read ({error}); choose another --out.") from error
    return found


def open_generations(
    plan: Plan, folder: Path, *, extend: bool, scratch: Path | None = None
) -> list[Generation]:
    """Resolve a plan and file it in a folder; returns all generations of the folder.

    Args:
        plan: The plan.
        folder: Folder of the data set.
        extend: Add what an earlier plan does not have, instead of refusing another plan.
        scratch: Where generated objects are written instead, to leave the folder as it is.

    Raises:
        PlanChangedError: The folder holds a data set of another plan and ``extend`` is not set, or it is and the plans differ
            in what all rows of a data set share.
        ValueError: No objects, an unknown hand, or a hand that has none of the grasp types.
    """
    earlier = read_generations(folder)
    known = {
        (entry.path, entry.size, entry.modified): entry.file_hash for g in earlier for entry in g.objects
    }
    splits = {entry.file_hash: entry.split for g in earlier for entry in g.objects}
    settings = _settings(plan)
    objects = planned_objects(plan, folder if scratch is None else scratch, known, splits)
    cells, left_out = _cells(plan, settings)
    settings["contact_width"] = max(cell.contact_count for cell in cells)
    new = Generation(len(earlier), settings, cells, objects, left_out)
    if not earlier:
        if scratch is None:
            write_text(folder / "plan" / "0000.json", new.to_text())
        return [new]
    if any(_same(new, generation) for generation in earlier):
        return earlier
    difference = _difference(earlier[-1], new)
    shared = _shared_difference(earlier[0], new)
    if shared:
        raise PlanChangedError(
            f"{folder} holds a data set of another plan ({shared}), which all rows of a data set share. "
            "Use the same value, or choose another --out."
        )
    if not extend:
        raise PlanChangedError(
            f"{folder} holds a data set of another plan ({difference}). Use the same plan, choose another --out, or pass "
            "--extend to keep what is there and add what this plan has more."
        )
    if scratch is None:
        write_text(folder / "plan" / f"{new.number:04d}.json", new.to_text())
    return [*earlier, new]


def _settings(plan: Plan) -> dict[str, Any]:
    """What all cells of a plan share."""
    names = (
        "grasps",
        "steps",
        "samples",
        "target",
        "rounds",
        "keep",
        "engine",
        "metrics",
        "objects_per_item",
    )
    settings: dict[str, Any] = {name: getattr(plan, name) for name in names}
    settings["protocols"] = [{"name": p.name, "forces": list(p.forces)} for p in plan.protocols]
    settings["views"] = None
    if plan.views is not None:
        settings["views"] = {k: v for k, v in to_json(plan.views).items() if k != "type"}
    settings["split"] = {"test_share": plan.test_share, "seed": plan.split_seed}
    settings["name"], settings["licence"] = plan.name, plan.licence
    return settings


_FREE = (
    "contact_width",
    "name",
    "licence",
    "steps",
    "samples",
    "grasps",
    "rounds",
    "target",
    "objects_per_item",
)
"""Settings in which a later generation may differ."""


def _shared_difference(first: Generation, new: Generation) -> str:
    for name, value in first.settings.items():
        if name == "contact_width" and new.settings[name] > value:
            return f"contact_counts: at most {value} there, {new.settings[name]} now"
        if name not in _FREE and new.settings[name] != value:
            return f"{name}: {value} there, {new.settings[name]} now"
    return ""


def _same(one: Generation, other: Generation) -> bool:
    """Whether two plans ask for the same rows, wherever their objects lie now."""

    def rows(generation: Generation) -> tuple[Any, ...]:
        settings = {k: v for k, v in generation.settings.items() if k not in ("name", "licence")}
        return settings, [c.id for c in generation.cells], [o.key for o in generation.objects]

    return rows(one) == rows(other)


def _difference(there: Generation, now: Generation) -> str:
    parts = [
        f"{name}: {there.settings[name]} there, {now.settings[name]} now"
        for name in there.settings
        if there.settings[name] != now.settings[name]
    ]
    hands = {cell.hand: cell.hand_hash for cell in there.cells}
    changed = {cell.hand for cell in now.cells if hands.get(cell.hand, cell.hand_hash) != cell.hand_hash}
    parts += [f"hand {name} has changed since" for name in sorted(changed)]
    for label, old, new in (
        ("objects", [o.key for o in there.objects], [o.key for o in now.objects]),
        (
            "combinations of hand, grasp type, contacts, method and seed",
            [c.id for c in there.cells],
            [c.id for c in now.cells],
        ),
    ):
        more, less = len(set(new) - set(old)), len(set(old) - set(new))
        if more or less:
            parts.append(f"{label}: {more} more and {less} fewer")
    return "; ".join(parts[:4]) or "the same objects in another order"


# ------------------------------------------------------------------------------------------------------- cells


def _cells(plan: Plan, settings: Mapping[str, Any]) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    cells: list[Cell] = []
    left_out: list[str] = []
    for source in plan.hands:
        hand = load_hand(source)
        types = [name for name in plan.grasp_types if name in hand.grasp_types]
        lacking = [name for name in plan.grasp_types if name not in hand.grasp_types]
        if not types:
            raise ValueError(
                f"hand {hand.name} has none of the grasp types {', '.join(plan.grasp_types)}; it has "
                f"{', '.join(hand.grasp_types)}"
            )
        left_out += [f"hand {hand.name} has no {name} grasps" for name in lacking]
        for grasp_type in types:
            candidates = len(hand.contact_candidates(grasp_type).link)
            for method in plan.methods:
                own = _method_config(_arguments(method)).contact_count
                for count in plan.contact_counts or (own,):
                    if not 1 <= count <= candidates:
                        raise ValueError(
                            f"contact_counts must be in [1, {candidates}], the candidate points of hand {hand.name} for "
                            f"{grasp_type} grasps (got {count})"
                        )
                    cells += _seed_cells(plan, settings, hand, str(source), grasp_type, count, method)
    return tuple(cells), tuple(left_out)


def _seed_cells(
    plan: Plan,
    settings: Mapping[str, Any],
    hand: HandModel,
    source: str,
    grasp_type: str,
    count: int,
    method: MethodEntry,
) -> list[Cell]:
    arguments = _arguments(method)
    if source != hand.name:
        source = str(Path(source).absolute()) if Path(source).exists() else source
    cell = Cell("", hand.name, source, hand.asset_hash, grasp_type, count, method.name, arguments, 0, (), "")
    config = cell.config(settings, device="cpu")
    content = {k: v for k, v in to_json(config).items() if k not in ("device", "seed")}
    if method.name == SIMULATED:
        content = {"type": SIMULATED, "grasp_type": grasp_type, "contact_count": count}
    decides = ("target", "rounds", "keep", "protocols", "engine", "metrics", "grasps")
    result = []
    for seed in plan.seeds:
        key = {
            "hand": hand.asset_hash,
            "method": method.name,
            "config": content,
            "seed": seed,
            **{k: settings[k] for k in decides},
        }
        result.append(
            dataclasses.replace(
                cell,
                id=digest(key),
                seed=seed,
                terms=tuple(config.energy.active_terms()),
                config_hash=digest(content),
            )
        )
    return result


def _arguments(method: MethodEntry) -> tuple[str, ...]:
    if method.name == SIMULATED:
        return ()
    return method.arguments or ("--method", method.name)


@functools.lru_cache(maxsize=64)
def _method_config(arguments: tuple[str, ...]) -> SynthesisConfig:
    """What ``python -m warpgrasp.generate`` makes of some of its options."""
    from warpgrasp.generate.options import parse_options

    try:
        config = parse_options(["bottle", *arguments]).synthesis_config()
    except SystemExit as error:
        raise ValueError(
            f"methods: {' '.join(arguments)!r} are not options of python -m warpgrasp.generate; see its --help"
        ) from error
    if config.targets.withdrawal > 0.0:
        raise ValueError(
            "methods: a data set holds no waypoints (got --targets.withdrawal); leave the option away, and make waypoints "
            "of the grasps that you take from it with warpgrasp.synthesis.retarget"
        )
    return config
