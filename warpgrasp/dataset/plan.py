"""What a data set is to hold, as a YAML file or flags: objects x hands x grasp types x contact counts x methods x seeds.

A plan can be as short as::

    objects: ["meshes/*.obj"]
    hands: [allegro]
    grasp_types: [power]
    grasps: 8
    steps: 60
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from warpgrasp.base.ranges import POSITIVE, NumberRange, check_numbers
from warpgrasp.base.user_module import is_reference
from warpgrasp.dataset.plan_values import from_mapping
from warpgrasp.dataset.primitives import PRIMITIVE_KINDS
from warpgrasp.eval.engines.registry import ENGINES
from warpgrasp.eval.protocol.protocols import Protocol, find_protocol
from warpgrasp.objects.views import ViewConfig
from warpgrasp.synthesis.methods import DEFAULT_METHOD, method_names

__all__ = ["SIMULATED", "MethodEntry", "ObjectEntry", "Plan", "ProtocolEntry", "read_plan"]

SIMULATED = "simulated"
"""Method that writes random poses without any synthesis: for trying a cluster, a file system or a loader."""
KEEP = ("all", "ok", "held")


@dataclass(frozen=True, kw_only=True)
class ObjectEntry:
    """Objects of one entry of the plan."""

    path: str = ""
    """A mesh file, a folder of meshes, a pattern such as ``meshes/**/*.obj``, a list file (``.txt``: one path a line), or the
    name of a shipped object."""
    primitives: int = 0
    """Instead of a path: so many generated objects, see :mod:`warpgrasp.dataset.primitives`."""
    primitive_seed: int = 0
    kinds: tuple[str, ...] = ()
    """Kinds of generated objects; all by default."""
    scales: tuple[float, ...] = (1.0,)
    """Factors from the lengths of the files to metres; one object per factor."""
    target_size: bool = False
    """Rescale each so that its smallest extent is at most 8 cm and its largest at least 7 cm."""
    licence: str = ""
    category: str = ""
    """For the stratified split; by default the folder of the file, or the kind of a generated object."""

    def __post_init__(self) -> None:
        check_numbers(self, "objects", scales=POSITIVE)
        if bool(self.path) == bool(self.primitives):
            raise ValueError(
                f"an entry of objects names a path or a number of primitives (got path {self.path!r} and primitives "
                f"{self.primitives})"
            )
        if not self.scales:
            raise ValueError(f"scales of {self.path or 'primitives'} must name at least one (got none)")
        for kind in self.kinds:
            if kind not in PRIMITIVE_KINDS:
                raise ValueError(f"kinds must be of {', '.join(PRIMITIVE_KINDS)} (got {kind!r})")


@dataclass(frozen=True, kw_only=True)
class MethodEntry:
    """One way to make grasps."""

    name: str
    arguments: tuple[str, ...] = ()
    """Options of ``python -m warpgrasp.generate``, such as ``["--method", "dexgraspnet", "--optimizer", "mala"]``."""


@dataclass(frozen=True, kw_only=True)
class ProtocolEntry:
    """One test that every grasp goes through."""

    name: str
    forces: tuple[float, ...] = ()
    """Pushes [N]; those of the protocol by default."""

    def __post_init__(self) -> None:
        check_numbers(self, "protocols", forces=POSITIVE)
        try:
            find_protocol(self.name)
        except ValueError as error:
            raise ValueError(str(error).replace("--protocol", "protocols", 1)) from error

    def protocols(self) -> tuple[Protocol, ...]:
        """The protocol at each force."""
        protocol = find_protocol(self.name)
        if not self.forces:
            return (protocol,)
        return tuple(protocol.with_force(force) for force in dict.fromkeys(self.forces))

    def labels(self) -> tuple[str, ...]:
        """Names of the columns: ``graspqp_5n``, or ``dexgraspbench`` where the force is not free."""
        return tuple(
            (f"{entry.name}_{entry.push_force:g}n" if entry.force is not None else entry.name).replace(
                "-", "_"
            )
            for entry in self.protocols()
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a data set is to hold.

    Raises:
        ValueError: A value out of range, an unknown method or protocol, or no objects.
    """

    objects: tuple[ObjectEntry, ...] = ()
    """Files, folders, patterns, list files, shipped objects, generated objects."""
    hands: tuple[str, ...] = ("allegro",)
    """Names of shipped hands or paths of hand files."""
    grasp_types: tuple[str, ...] = ("power",)
    """Grasp types; a hand without one of them leaves it out."""
    contact_counts: tuple[int, ...] = ()
    """Contacts of a grasp; the method's own number by default."""
    methods: tuple[MethodEntry, ...] = (MethodEntry(name=DEFAULT_METHOD),)
    """Methods of ``python -m warpgrasp.generate``, or a name of yours with options of that command."""
    seeds: tuple[int, ...] = (0,)
    """Seeds; each gives ``grasps`` grasps per object."""
    grasps: int = 32
    """Grasps per object, hand, grasp type, contact count, method and seed."""
    steps: int | None = None
    """Optimiser steps; the method's own number by default."""
    samples: int | None = None
    """Object surface samples of the penetration term; the method's own number by default."""
    target: int | None = None
    """Go on with further seeds until so many grasps of an object count: those that hold under the first protocol, or, without
    protocols, those with status OK."""
    rounds: int = 4
    """With ``target``: at most so many seeds per object."""
    keep: str = "all"
    """Which grasps are written: ``all``, ``ok`` (status OK) or ``held`` (under the first protocol)."""
    protocols: tuple[ProtocolEntry, ...] = ()
    """Tests of the grasps with status OK, as in ``python -m warpgrasp.evaluate``."""
    engine: str = "mujoco"
    """Physics engine of the tests."""
    metrics: bool = True
    """Penetration, contact distance and contact area of the tested grasps."""
    views: ViewConfig | None = None
    """Pictures of every object."""
    test_share: float = 0.2
    """Share of the objects in the split ``test``; all scales of a file are on one side."""
    split_seed: int = 0
    objects_per_item: int = 16
    """Objects of one work item, which is one file; a killed worker loses at most one item."""
    name: str = "warpgrasp data set"
    """Title of the data sheet."""
    licence: str = ""
    """Licence of the data set, for the data sheet."""

    def __post_init__(self) -> None:
        at_least_one = NumberRange(lower=1.0)
        check_numbers(
            self,
            "",
            grasps=at_least_one,
            steps=at_least_one,
            samples=at_least_one,
            rounds=at_least_one,
            objects_per_item=at_least_one,
            target=at_least_one,
            test_share=NumberRange(lower=0.0, upper=1.0),
        )
        if self.engine not in ENGINES and not is_reference(self.engine):
            raise ValueError(
                f"engine must be one of {', '.join(ENGINES)}, or my_module:MyEngine (got {self.engine!r})"
            )
        if self.keep not in KEEP:
            raise ValueError(f"keep must be one of {', '.join(KEEP)} (got {self.keep!r})")
        if self.keep == "held" and not self.protocols:
            raise ValueError("keep: held needs a protocol; name one in protocols, or keep: ok")
        for name in ("objects", "hands", "grasp_types", "contact_counts", "methods", "seeds"):
            values = getattr(self, name)
            if not values and name != "contact_counts":
                raise ValueError(f"{name} must name at least one (got none)")
            if len(set(map(repr, values))) < len(values):
                raise ValueError(f"{name} names something twice: {values}")
        for method in self.methods:
            known = (*method_names(), SIMULATED)
            if method.name not in known and not method.arguments and not is_reference(method.name):
                raise ValueError(
                    f"methods must be of {', '.join(known)}, my_module:MY_METHOD, or a mapping with name and arguments (got "
                    f"{method.name!r})"
                )
        labels = [label for protocol in self.protocols for label in protocol.labels()]
        if len(set(labels)) < len(labels):
            raise ValueError(f"protocols names something twice: {', '.join(labels)}")


def read_plan(path: Path | None, flags: Mapping[str, Any]) -> Plan:
    """The plan of a YAML file with flags on top.

    Args:
        path: YAML file; ``None`` takes the flags alone.
        flags: Values by field name, as in the file; ``None`` leaves the file's. Their paths are relative to the working
            directory, those of the file to its folder.

    Raises:
        ValueError: The file cannot be read, has unknown keys, or a value is out of range.
    """
    content: dict[str, Any] = {}
    if path is not None:
        try:
            loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{path} cannot be read as a plan ({reason}); write YAML with key: value."
            ) from error
        if not isinstance(loaded, dict):
            raise ValueError(
                f"{path} is not a plan: it must hold keys such as objects and hands (got {loaded!r})."
            )
        content = loaded
    content = {**content, **{name: value for name, value in flags.items() if value is not None}}
    plan = _plan(content)
    if path is None:
        return plan
    objects, hands = plan.objects, plan.hands
    if flags.get("objects") is None:
        objects = tuple(
            dataclasses.replace(entry, path=_beside(entry.path, path.parent)) for entry in plan.objects
        )
    if flags.get("hands") is None:
        hands = tuple(_beside(hand, path.parent) for hand in plan.hands)
    return dataclasses.replace(plan, objects=objects, hands=hands)


def _plan(content: Mapping[str, Any]) -> Plan:
    """A plan of the content of its file: short forms written out, then every value of its type."""
    values = dict(content)
    for name, first in (("objects", "path"), ("methods", "name"), ("protocols", "name")):
        if values.get(name) is not None:
            values[name] = [_written_out(entry, first) for entry in _listed(values[name])]
        elif name in values:
            values[name] = []
    if _is_number(values.get("seeds")):
        values["seeds"] = list(range(values["seeds"]))
    if _is_number(values.get("views")):
        values["views"] = {"count": values["views"]} if values["views"] else None
    for name in ("hands", "grasp_types", "contact_counts", "seeds"):
        if name in values and values[name] is None:
            values[name] = []
    return from_mapping(Plan, values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _written_out(entry: Any, first: str) -> Any:
    """A word alone is the first field of an entry."""
    return {first: entry} if isinstance(entry, str) else entry


def _beside(text: str, folder: Path) -> str:
    """A path of a plan file is relative to the file; a name of something shipped stays as it is."""
    beside = folder / text
    names_files = beside.exists() or any(letter in beside.name for letter in "*?[") or beside.suffix != ""
    return str(beside) if text and not Path(text).is_absolute() and names_files else text
