"""Physics engines by name, imported on first use. An engine is one module and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from warpgrasp.eval.engines.mujoco_scene import Scene
    from warpgrasp.eval.protocol.squeeze_rules import HandTargets
    from warpgrasp.eval.protocol.verdict import Verdict

__all__ = ["ENGINES", "Engine", "automatic_engine", "load_engine"]


class Engine(Protocol):
    """Runs the protocol of a scene on grasps. Results do not depend on ``workers`` or on other grasps."""

    name: str

    def evaluate(
        self, scene: Scene, targets: HandTargets, *, progress: Callable[[int], None] | None = None
    ) -> Verdict:
        """Verdict of every grasp; ``progress`` hears the number of grasps done so far."""
        ...


ENGINES: dict[str, str] = {
    "mujoco": "warpgrasp.eval.engines.mujoco:MujocoEngine",
    "newton": "warpgrasp.eval.engines.newton:NewtonEngine",
    "isaaclab": "warpgrasp.eval.isaaclab.engine:IsaacLabEngine",
}
"""Name -> module:class."""


def automatic_engine() -> str:
    """What ``auto`` stands for: ``newton`` where there is a CUDA device, else ``mujoco``."""
    import warp as wp

    return "newton" if wp.is_cuda_available() else "mujoco"


def load_engine(name: str, *, workers: int = 0) -> Engine:
    """Engine by name; ``auto`` is :func:`automatic_engine`.

    Raises:
        ValueError: Unknown name; the message lists the known ones.
        ImportError: What the engine needs is not installed; the message names the extra.
    """
    if name == "auto":
        name = automatic_engine()
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; choose from auto, {', '.join(ENGINES)}")
    module, _, attribute = ENGINES[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)(workers=workers)
    return engine
