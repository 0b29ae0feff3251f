"""What a stage of ``benchmarks/device_check.py`` is given: how much to do, on which device, and where its rows go."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import warp as wp
from device_problems import STEPS

from warpgrasp.hands import hand_names

__all__ = ["FULL", "SMALL", "Check", "Sizes"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is done."""

    hands: tuple[str, ...]
    """Of the agreement."""
    fast_hands: tuple[str, ...]
    """Of the speeds."""
    batches: tuple[int, ...]
    command_objects: tuple[int, ...]
    """Objects of whole commands, 32 grasps each."""
    command_grasps: int
    command_steps: int
    steps: int
    """Of comparisons."""
    timed_steps: int
    matrices: int
    worlds: int


FULL = Sizes(
    hands=hand_names(),
    fast_hands=("allegro", "shadow"),
    batches=(1024, 8192, 65536),
    command_objects=(32, 256),
    command_grasps=32,
    command_steps=STEPS,
    steps=200,
    timed_steps=200,
    matrices=10_000,
    worlds=4096,
)
SMALL = Sizes(
    hands=("robotiq_2f140",),
    fast_hands=("robotiq_2f140",),
    batches=(6,),
    command_objects=(1,),
    command_grasps=2,
    command_steps=5,
    steps=5,
    timed_steps=5,
    matrices=20,
    worlds=6,
)


@dataclasses.dataclass(frozen=True)
class Check:
    """What a stage needs."""

    device: str
    sizes: Sizes
    say: Callable[[str], None]

    def head(self, *names: str) -> None:
        """Begin a table."""
        self.row(*names)
        self.say("|" + "---|" * len(names))

    def row(self, *values: object) -> None:
        """One row of it."""
        self.say(f"| {' | '.join(str(value) for value in values)} |")

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return bool(wp.get_device(self.device).is_cuda)
