"""Options of ``python -m warpgrasp.generate`` and how they are read from its command line."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from warpgrasp.base.user_module import is_reference, load_reference
from warpgrasp.objects.reading import Reading
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.controller_targets import TargetConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.methods import (
    DEFAULT_METHOD,
    Method,
    exchange_closure,
    find_method,
    method_names,
)
from warpgrasp.synthesis.optimizer import OPTIMIZER_PRESETS, OptimizerMalaFast
from warpgrasp.synthesis.optimizer_contract import Optimizer
from warpgrasp.synthesis.seeds import InitializeConfig
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["GenerateOptions", "parse_options"]

if TYPE_CHECKING:
    AnyOptimizer = Optimizer
else:  # the command line parser shows the hyper-parameters of whichever optimiser is the default
    AnyOptimizer = Any


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Synthesise dexterous grasps of a robot hand on object meshes.

    Without objects: a demo on three shipped objects (8 grasps each). Options given are kept.
    """

    objects: tyro.conf.Positional[tuple[str, ...]] = ()
    """Mesh files (OBJ, STL, PLY, GLB, GLTF, OFF, DAE, URDF, USD, USDA, USDC, USDZ), folders of them, or names of shipped
    objects: bottle, duck, mug."""
    hand: str = "allegro"
    """Name of a shipped hand, or the path of a hand's USD file."""
    grasp_type: str = "power"
    """Which parts of the hand touch the object: power, precision, pinch, or another grasp type of the hand."""
    method: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT_METHOD
    """Method of a paper: its energy, optimiser, seeds, contacts, steps, pregrasp and squeeze together; --list-methods names
    them, my_module:MY_METHOD is one of your own. Every other option changes single values of it."""
    list_methods: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Name the methods with a line each, and do nothing else."""
    energy_names: Annotated[
        tuple[str, ...], tyro.conf.arg(name="energy", metavar="NAME"), tyro.conf.UseAppendAction
    ] = ()
    """Closure and distance of another method (default: the method's own); its penetrations and joint limits stay.
    my_module:MyTerm adds a term of your own and may be repeated. --energy.* options change single values, those of a term
    of yours too."""
    optimizer_name: Annotated[str, tyro.conf.arg(name="optimizer", metavar="NAME")] = ""
    """Optimiser: mala-fast, mala-star, mala, the name of another method for that of its own, or my_module:MyOptimizer
    (default: the method's own); --optimizer.* options change single values of it."""
    contact_count: Annotated[int, tyro.conf.arg(name="contacts")] = 12
    """Active contacts of a grasp."""
    grasp_count: Annotated[int, tyro.conf.arg(name="grasps")] = 32
    """Grasps per object."""
    candidates: int = 0
    """Grasps synthesised for each one that is kept; the best are kept: those with status OK first, then by the estimate of
    success. 0 takes 2 for power grasps and 4 for others. --valid-only judges every grasp and takes 1."""
    step_count: Annotated[int, tyro.conf.arg(name="steps")] = 1500
    """Optimiser steps; every schedule scales with them."""
    sample_count: Annotated[int, tyro.conf.arg(name="samples")] = 2500
    """Object surface samples of the penetration term."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu, cuda, cuda:1, ..."""
    workers: int = 0
    """Processes that make grasps while the command reads objects and writes files; 0 takes one per core on the CPU, and one for
    a GPU. Grasps do not depend on it."""
    out: Path | None = None
    """Output folder (default: grasps/demo, or grasps/HAND_GRASP-TYPE when objects are named, with the hand's own name)."""
    valid_only: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Write N grasps per object that hold in simulation and differ from each other, and no others (extra sim): --grasps
    are made and judged, then as many more as the share that holds asks for, until there are enough; 0 writes all unjudged."""
    protocol: Annotated[str, tyro.conf.arg(metavar="NAME")] = "graspqp"
    """With --valid-only: how grasps are judged, as in warpgrasp.evaluate: graspqp, dexgraspbench, bodex-paper, or
    my_module:MY_PROTOCOL."""
    budget: int = 8
    """With --valid-only: at most so many times --grasps are made per object; others keep the valid ones they have."""
    scale: float = 1.0
    """Factor from the file's lengths to metres, for example 0.001 for millimetres."""
    target_size: bool = False
    """Rescale every object so that its smallest extent is at most 8 cm and its largest at least 7 cm."""
    sizes: tuple[float, ...] = ()
    """Bring every object to these sizes [m], largest extent; each size is an object of its own, such as mug_60mm."""
    reading: Annotated[Reading, tyro.conf.arg(name="")] = field(default_factory=Reading)
    """How an object file is read."""
    usd: Literal["all", "best", "none"] = "all"
    """Grasps in the USD stage of an object: all, the ten best, or no stage; the npz files hold all. Stages that are there
    already stay as they are."""
    resume: bool = True
    """Skip objects that are finished in the output folder; --no-resume starts over."""
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    """Energy terms and their weights."""
    optimizer: AnyOptimizer = field(default_factory=OptimizerMalaFast)
    """Hyper-parameters of the optimiser."""
    initialize: InitializeConfig = field(default_factory=InitializeConfig)
    """Distribution of the seed grasps."""
    closing: ClosingConfig = field(default_factory=ClosingConfig)
    """How the contacts of finished grasps are brought onto the object."""
    targets: TargetConfig = field(default_factory=TargetConfig)
    """Pregrasp and squeeze targets."""

    def __post_init__(self) -> None:
        wrong = [size for size in self.sizes if not 0.0 < size < math.inf]
        if wrong:
            raise ValueError(f"--sizes must be positive and finite, in metres (got {wrong[0]:g})")
        if self.sizes and (self.target_size or self.scale != 1.0):
            raise ValueError("--sizes says how large objects are; leave --target-size and --scale away")

    @property
    def energy_name(self) -> str:
        """The method that closure and distance come from and terms of your own, joined by a plus sign."""
        chosen, terms = _split_energy(self.energy_names)
        return " + ".join((chosen or self.method, *terms))

    @property
    def optimizer_title(self) -> str:
        """Name of the optimiser as given, or of the method's own."""
        kind: type = type(self.optimizer)
        own = next((name for name, preset in OPTIMIZER_PRESETS.items() if preset is kind), kind.__name__)
        return self.optimizer_name or own

    def synthesis_config(self) -> SynthesisConfig:
        """Return the part that the synthesis reads."""
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(SynthesisConfig)}
        if self.valid_only:
            values["candidates"] = 1  # the judge selects
        try:
            return SynthesisConfig(**values)
        except ValueError as error:
            field, rest = str(error).split(" ", 1)
            if field not in values:
                raise
            # The command line has shorter names: contact_count is --contacts.
            option = field.removesuffix("_count") + "s" if field.endswith("_count") else field
            raise ValueError(f"--{option} {rest}") from error

    def folder(self, hand_name: str) -> Path:
        """Output folder, with the default filled in; ``hand_name`` is what the hand calls itself."""
        if self.out is not None:
            return self.out
        return Path("grasps") / (f"{hand_name}_{self.grasp_type}" if self.objects else "demo")


@dataclass(frozen=True, kw_only=True)
class _Presets:
    method: str = DEFAULT_METHOD
    energy: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    optimizer: str = ""


def parse_options(arguments: Sequence[str]) -> GenerateOptions:
    """Parse the command line: the method first, then an energy and an optimiser, then single values on top of them.

    Raises:
        SystemExit: Wrong usage (code 2) or ``--help`` (code 0); the message is already printed.
        ValueError: A value is out of range, or a preset or a module of yours is not known.
    """
    program = "python -m warpgrasp.generate"
    without_help = [argument for argument in arguments if argument not in ("-h", "--help")]
    presets, _ = tyro.cli(_Presets, args=without_help, prog=program, return_unknown_args=True, add_help=False)
    default = _defaults(presets)
    options = tyro.cli(GenerateOptions, args=arguments, prog=program, default=default)
    if not options.objects:
        demo = dataclasses.replace(default, grasp_count=8)
        options = tyro.cli(GenerateOptions, args=arguments, prog=program, default=demo)
    return options


def _defaults(presets: _Presets) -> GenerateOptions:
    """The options of a method, with its energy and its optimiser exchanged where others are named."""
    config = find_method(presets.method).config
    values = {entry.name: getattr(config, entry.name) for entry in dataclasses.fields(config)}
    values["energy"] = _energy(config.energy, presets.energy)
    if presets.optimizer:
        values["optimizer"] = _optimizer(presets.optimizer)
    return GenerateOptions(**values, optimizer_name=presets.optimizer)


def _split_energy(names: Sequence[str]) -> tuple[str, list[str]]:
    """The method that closure and distance come from, or nothing, and references to terms of the user's own."""
    methods = [name for name in names if not is_reference(name)]
    if len(methods) > 1:
        raise ValueError(
            f"--energy takes one method and any number of my_module:MyTerm (got {', '.join(methods)})"
        )
    return methods[0] if methods else "", [name for name in names if is_reference(name)]


def _energy(energy: EnergyConfig, names: Sequence[str]) -> EnergyConfig:
    """A method's energy with the closure of another and the user's own terms, each at its defaults.

    Terms are named after their classes in snake case.
    """
    chosen, references = _split_energy(names)
    if chosen:
        energy = exchange_closure(energy, _named(chosen, "--energy", (), "my_module:MyTerm").config.energy)
    extra: dict[str, Any] = dict(energy.extra)
    for reference in references:
        name = _snake_case(reference.partition(":")[2])
        if name in extra:
            raise ValueError(
                f"--energy {reference}: there is a term {name} already; give the class another name"
            )
        extra[name] = _instance(reference, "--energy")
    return dataclasses.replace(energy, extra=extra)


def _named(name: str, option: str, presets: Sequence[str], own: str) -> Method:
    """A method of the package whose energy or optimiser is wanted."""
    if name not in method_names():
        known = ", ".join(dict.fromkeys((*presets, *method_names())))
        raise ValueError(f"{option} must be one of {known}, or {own} (got {name!r})")
    return find_method(name)


def _optimizer(name: str) -> Optimizer:
    if name in OPTIMIZER_PRESETS:
        return OPTIMIZER_PRESETS[name]()
    if not is_reference(name):
        presets = tuple(OPTIMIZER_PRESETS)
        return _named(name, "--optimizer", presets, "my_module:MyOptimizer").config.optimizer
    optimizer = _instance(name, "--optimizer")
    missing = [method for method in ("init", "step", "reset_count") if not hasattr(optimizer, method)]
    if missing:
        raise ValueError(
            f"--optimizer {name} has no method {missing[0]}; the contract stands in "
            "warpgrasp.synthesis.optimizer_contract"
        )
    chosen: Optimizer = optimizer
    return chosen


def _instance(reference: str, option: str) -> Any:
    """The object a reference names; a class is called without arguments."""
    value = load_reference(reference, option)
    if not isinstance(value, type):
        return value
    try:
        return value()
    except TypeError as error:
        raise ValueError(
            f"{option} {reference}: {error}; give every hyper-parameter a default, the command line changes them"
        ) from error


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
