"""Options of ``python -m warpgrasp.generate`` and how they are read from its command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from warpgrasp.synthesis.controller_targets import TargetConfig
from warpgrasp.synthesis.energy_config import ENERGY_PRESETS, EnergyConfig
from warpgrasp.synthesis.optimizer import OPTIMIZER_PRESETS, OptimizerMala, OptimizerMalaStar
from warpgrasp.synthesis.seeds import InitializeConfig
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["GenerateOptions", "parse_options"]

if TYPE_CHECKING:
    EnergyName = str
    OptimizerName = str
else:  # choices are checked and listed by the command line parser
    EnergyName = Literal[tuple(ENERGY_PRESETS)]
    OptimizerName = Literal[tuple(OPTIMIZER_PRESETS)]


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Synthesise dexterous grasps of a robot hand on object meshes.

    Without objects: a demo on three shipped objects (8 grasps each, 1000 steps). Options given are kept.
    """

    objects: tyro.conf.Positional[tuple[str, ...]] = ()
    """Mesh files (OBJ, STL, PLY, GLB, GLTF, OFF, USD, USDA, USDC, USDZ), or names of shipped objects: bottle, duck,
    mug."""
    hand: str = "allegro"
    """Name of a shipped hand, or the path of a hand's USD file."""
    grasp_type: str = "power"
    """Which parts of the hand touch the object: power, precision or pinch."""
    energy_name: Annotated[EnergyName, tyro.conf.arg(name="energy")] = "graspqp"
    """Preset of the energy; --energy.* options change single values of it."""
    optimizer_name: Annotated[OptimizerName, tyro.conf.arg(name="optimizer")] = "mala-star"
    """Optimiser; --optimizer.* options change single values of it."""
    contact_count: Annotated[int, tyro.conf.arg(name="contacts")] = 12
    """Active contacts of a grasp."""
    grasp_count: Annotated[int, tyro.conf.arg(name="grasps")] = 32
    """Grasps per object."""
    step_count: Annotated[int, tyro.conf.arg(name="steps")] = 7000
    """Optimiser steps; every schedule scales with them."""
    sample_count: Annotated[int, tyro.conf.arg(name="samples")] = 2500
    """Object surface samples of the penetration term."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu, cuda, cuda:1, ..."""
    out: Path | None = None
    """Output folder (default: grasps/demo, or grasps/HAND_GRASP-TYPE when objects are named, with the hand's own name)."""
    scale: float = 1.0
    """Factor from the file's lengths to metres, for example 0.001 for millimetres."""
    target_size: bool = False
    """Rescale every object so that its smallest extent is at most 8 cm and its largest at least 7 cm."""
    resume: bool = True
    """Skip objects that are finished in the output folder; --no-resume starts over."""
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    """Energy terms and their weights."""
    optimizer: OptimizerMala = field(default_factory=OptimizerMalaStar)
    """Hyper-parameters of the optimiser."""
    initialize: InitializeConfig = field(default_factory=InitializeConfig)
    """Distribution of the seed grasps."""
    targets: TargetConfig = field(default_factory=TargetConfig)
    """Pregrasp and squeeze targets."""

    def synthesis_config(self) -> SynthesisConfig:
        """Return the part that the synthesis reads."""
        names = (entry.name for entry in dataclasses.fields(SynthesisConfig))
        return SynthesisConfig(**{name: getattr(self, name) for name in names})

    def folder(self, hand_name: str) -> Path:
        """Output folder, with the default filled in; ``hand_name`` is what the hand calls itself."""
        if self.out is not None:
            return self.out
        return Path("grasps") / (f"{hand_name}_{self.grasp_type}" if self.objects else "demo")


@dataclass(frozen=True, kw_only=True)
class _Presets:
    energy: EnergyName = "graspqp"
    optimizer: OptimizerName = "mala-star"


def parse_options(arguments: Sequence[str]) -> GenerateOptions:
    """Parse the command line: presets first, then single values on top of them.

    Raises:
        SystemExit: Wrong usage (code 2) or ``--help`` (code 0); the message is already printed.
        ValueError: A value is out of range.
    """
    program = "python -m warpgrasp.generate"
    without_help = [argument for argument in arguments if argument not in ("-h", "--help")]
    presets, _ = tyro.cli(_Presets, args=without_help, prog=program, return_unknown_args=True, add_help=False)
    default = GenerateOptions(
        energy_name=presets.energy,
        optimizer_name=presets.optimizer,
        energy=ENERGY_PRESETS[presets.energy](),
        optimizer=OPTIMIZER_PRESETS[presets.optimizer](),
    )
    options = tyro.cli(GenerateOptions, args=arguments, prog=program, default=default)
    if not options.objects:
        demo = dataclasses.replace(default, grasp_count=8, step_count=1000)
        options = tyro.cli(GenerateOptions, args=arguments, prog=program, default=demo)
    return options
