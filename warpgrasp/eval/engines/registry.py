"""Physics engines by name, imported on first use. An engine is one module and one line here."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from warpgrasp.base.user_module import is_reference, load_reference
from warpgrasp.base.warp_device import choose_device

if TYPE_CHECKING:
    from warpgrasp.eval.engines.mujoco_scene import Scene
    from warpgrasp.eval.protocol.squeeze_rules import HandTargets
    from warpgrasp.eval.protocol.verdict import Verdict

__all__ = ["ENGINES", "Engine", "automatic_engine", "first_failures", "load_engine", "stops_at_failures"]


class Engine(Protocol):
    """Runs the protocol of a scene on grasps. Results do not depend on ``workers`` or on other grasps.

    Anything with these two members can be named on the command line, ``--engine my_module:MyEngine``; a class is called with
    ``workers`` and ``device``.
    """

    name: str
    """What results are filed under; a word."""

    def evaluate(
        self, scene: Scene, targets: HandTargets, *, progress: Callable[[int], None] | None = None
    ) -> Verdict:
        """Verdict of every grasp; ``progress`` hears the number of grasps done so far.

        An engine may also take ``until_failure=True``: a grasp is simulated no further than its first failure, as by
        :class:`~warpgrasp.eval.engines.mujoco.MujocoEngine`. Who asks only whether grasps hold passes it to engines that do.
        """
        ...


def stops_at_failures(engine: Engine) -> bool:
    """Whether an engine can stop at the first failure of a grasp, and so judges one grasp as cheaply as one of many."""
    return "until_failure" in inspect.signature(engine.evaluate).parameters


def first_failures(engine: Engine, scene: Scene, targets: HandTargets) -> Verdict:
    """Verdict of every grasp, simulated no further than its first failure where the engine can stop there."""
    if stops_at_failures(engine):
        stopping: Any = engine
        verdict: Verdict = stopping.evaluate(scene, targets, until_failure=True)
        return verdict
    return engine.evaluate(scene, targets)


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
        name: ``auto``, a key of :data:`ENGINES`, or ``my_module:MyEngine`` for one of your own.
        workers: Threads of an engine on the CPU; 0 takes all cores.
        device: ``auto``, ``cpu`` or a Warp device such as ``cuda:0``.

    Raises:
        ValueError: Unknown name or device, the message lists the known ones; MuJoCo on another device than the CPU; or an
            engine of your own that breaks the contract.
        ImportError: What the engine needs is not installed; the message names the extra.
    """
    choose_device(device)  # refuses what Warp does not know
    if is_reference(name):
        return _own_engine(name, workers, device)
    if name == "auto":
        name = automatic_engine(device)
    if name not in ENGINES:
        raise ValueError(
            f"unknown engine {name!r}; choose from auto, {', '.join(ENGINES)}, or my_module:MyEngine"
        )
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


def _own_engine(reference: str, workers: int, device: str) -> Engine:
    """The user's engine: an object, or a class that is called with ``workers`` and ``device``."""
    value = load_reference(reference, "--engine")
    if isinstance(value, type):
        try:
            value = value(workers=workers, device=device)
        except TypeError as error:
            raise ValueError(
                f"--engine {reference}: {error}; the class is called with workers=0 and device='auto'"
            ) from error
    name = getattr(value, "name", None)
    if not isinstance(name, str) or not callable(getattr(value, "evaluate", None)):
        raise ValueError(
            f"--engine {reference} must have a name and a method evaluate; the contract is Engine in "
            "warpgrasp.eval.engines.registry"
        )
    if name in ("auto", *ENGINES) or not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"--engine {reference}: the name {name!r} stands in the names of folders; it must be a word, and not one "
            f"of auto, {', '.join(ENGINES)}"
        )
    engine: Engine = value
    return engine
