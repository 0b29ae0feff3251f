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


def automatic_engine(device: str = "auto") -> str:
    """What ``auto`` stands for: ``newton`` on CUDA, ``mujoco`` on the CPU; without a device, by whether there is CUDA."""
    import warp as wp

    on_cuda = wp.is_cuda_available() if device == "auto" else device.startswith("cuda")
    return "newton" if on_cuda else "mujoco"


def load_engine(name: str, *, workers: int = 0, device: str = "auto") -> Engine:
    """Engine by name; ``auto`` is :func:`automatic_engine`.

    Args:
        name: ``auto`` or a key of :data:`ENGINES`.
        workers: Threads of an engine on the CPU; 0 takes all cores.
        device: ``auto``, ``cpu`` or a Warp device such as ``cuda:0``.

    Raises:
        ValueError: Unknown name or device, the message lists the known ones; or MuJoCo on another device than the CPU.
        ImportError: What the engine needs is not installed; the message names the extra.
    """
    _check_device(device)
    if name == "auto":
        name = automatic_engine(device)
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; choose from auto, {', '.join(ENGINES)}")
    options: dict[str, str] = {"device": device}
    if name == "mujoco":
        if device not in ("auto", "cpu"):
            raise ValueError(
                f"engine mujoco runs on the CPU (got device {device!r}); choose engine newton for CUDA"
            )
        options = {}
    module, _, attribute = ENGINES[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)(workers=workers, **options)
    return engine


def _check_device(device: str) -> None:
    """Refuse a device that Warp does not know."""
    import warp as wp

    if device == "auto":
        return
    try:
        wp.get_device(device)
    except (ValueError, RuntimeError) as error:
        known = ", ".join(str(one) for one in wp.get_devices())
        raise ValueError(f"unknown device {device!r}; choose from auto, {known}") from error
