"""Dexterous grasp synthesis on NVIDIA Warp: object meshes and a robot hand in, stable grasps out.

The everyday names stand here and are imported on first use, so that ``import warpgrasp`` loads neither Warp nor
OpenUSD. Everything else is imported from its module.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from warpgrasp.base.version import VERSION

if TYPE_CHECKING:
    from warpgrasp.base.status import GraspStatus
    from warpgrasp.grasps.gallery import write_gallery
    from warpgrasp.grasps.grasp_set import GraspSet
    from warpgrasp.grasps.usd import read_grasp_usd, write_grasp_usd
    from warpgrasp.hands import hand_names, load_hand
    from warpgrasp.objects import example_object_names, load_object
    from warpgrasp.synthesis.energy_config import EnergyConfig
    from warpgrasp.synthesis.optimizer import OptimizerMala, OptimizerMalaFast, OptimizerMalaStar
    from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

__all__ = [
    "EnergyConfig",
    "GraspSet",
    "GraspStatus",
    "OptimizerMala",
    "OptimizerMalaFast",
    "OptimizerMalaStar",
    "SynthesisConfig",
    "example_object_names",
    "hand_names",
    "load_hand",
    "load_object",
    "read_grasp_usd",
    "synthesize",
    "write_gallery",
    "write_grasp_usd",
]

__version__ = VERSION

if sys.argv[:1] == ["-m"]:  # one of the commands begins, and will import for a second or two
    from warpgrasp.base.command import quiet_interrupts

    quiet_interrupts()

_MODULES = {
    "EnergyConfig": "synthesis.energy_config",
    "GraspSet": "grasps.grasp_set",
    "GraspStatus": "base.status",
    "OptimizerMala": "synthesis.optimizer",
    "OptimizerMalaFast": "synthesis.optimizer",
    "OptimizerMalaStar": "synthesis.optimizer",
    "SynthesisConfig": "synthesis.synthesize",
    "example_object_names": "objects",
    "hand_names": "hands",
    "load_hand": "hands",
    "load_object": "objects",
    "read_grasp_usd": "grasps.usd",
    "synthesize": "synthesis.synthesize",
    "write_gallery": "grasps.gallery",
    "write_grasp_usd": "grasps.usd",
}


def __getattr__(name: str) -> Any:
    """Import an everyday name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'warpgrasp' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"warpgrasp.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
