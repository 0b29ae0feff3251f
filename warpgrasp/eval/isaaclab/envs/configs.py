"""Configurations by task and hand, and the entry point of ``gym.make``.

``Grasp_allegro`` and its like are made on request, so that a hand that is added needs no line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from warpgrasp.eval.isaaclab import TASKS, require_isaaclab
from warpgrasp.eval.isaaclab.difficulty import difficulty_of
from warpgrasp.eval.isaaclab.first_start import without_adjoints

if TYPE_CHECKING:
    from warpgrasp.eval.isaaclab.envs.base import HandScene, HandSceneOptions

__all__ = ["make_config", "make_environment"]

_MODULES = {
    "Evaluate": ("evaluate", "EvaluateEnv"),
    "Grasp": ("grasp", "GraspEnv"),
    "Lift": ("lift", "LiftEnv"),
    "GraspManaged": ("managed", "ManagedGraspEnv"),
    "Approach": ("approach", "ApproachEnv"),
    "ApproachDepth": ("approach_depth", "ApproachDepthEnv"),
    "LiftManaged": ("managed", "ManagedLiftEnv"),
}


def make_config(task: str, hand: str = "allegro", **options: Any) -> HandSceneOptions:
    """Configuration of a task for a hand.

    Args:
        task: One of :data:`~warpgrasp.eval.isaaclab.TASKS`.
        hand: Shipped hand or path of a USD hand.
        options: Fields of the configuration; ``num_envs``, ``device`` and ``seed`` as short forms.

    Raises:
        ImportError: Isaac Lab is missing or older than 3.
        ValueError: Unknown task or option.
    """
    cfg: HandSceneOptions = getattr(_module(task), f"{_MODULES[task][1]}Cfg")()
    cfg.hand = hand
    _set_difficulty(cfg, task, hand)
    for name, value in options.items():
        if name == "num_envs":
            cfg.scene.num_envs = value
        elif name == "device":
            cfg.sim.device = value
        elif hasattr(cfg, name):
            own = getattr(cfg, name)
            # Command lines hand over 1.0 for a count or a switch.
            setattr(cfg, name, type(own)(value) if isinstance(own, int) else value)
        else:
            raise ValueError(
                f"task {task} has no option {name!r}; its options are the fields of {type(cfg).__name__}"
            )
    cfg.complete()
    if hasattr(cfg, "declare_spaces"):
        cfg.declare_spaces()
    cfg.fill_physics()
    return cfg


def _set_difficulty(cfg: Any, task: str, hand: str) -> None:
    """Pushes and masses of the hand; options that are given count more."""
    numbers = difficulty_of(hand)
    if task != "Evaluate":
        cfg.object_mass = numbers.object_mass
    if task in ("Grasp", "GraspManaged"):
        cfg.push_force = numbers.push_force
    elif task in ("Approach", "ApproachDepth"):
        cfg.push_force, cfg.position_noise = numbers.approach_force, numbers.approach_noise


def make_environment(
    cfg: Any = None, *, task: str, hand: str, render_mode: str | None = None, **options: Any
) -> HandScene:
    """Environment of a registered id: ``gym.make(id, cfg=cfg)`` or ``gym.make(id, num_envs=64, device="cpu")``."""
    options = {name: value for name, value in options.items() if not name.endswith("_entry_point")}
    options.pop("default_agent", None)
    with without_adjoints():
        if cfg is None:
            cfg = make_config(task, hand, **options)
        environment = getattr(_module(task), _MODULES[task][1])
        made: HandScene = environment(cfg, render_mode)
    return made


def _module(task: str) -> Any:
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; choose from {', '.join(TASKS)}")
    require_isaaclab()
    with without_adjoints():
        return importlib.import_module(f"warpgrasp.eval.isaaclab.envs.{_MODULES[task][0]}")


def __getattr__(name: str) -> Callable[[], Any]:
    """``Grasp_allegro``: a function that makes this configuration, for Isaac Lab's registry look-ups."""
    task, _, hand = name.partition("_")
    if task not in TASKS or not hand:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return lambda: _registered_config(task, hand)


def _registered_config(task: str, hand: str) -> Any:
    """Configuration for Isaac Lab's commands: device and physics are known before the simulation starts.

    ``sim.physics`` is a preset of Isaac Lab, so that its commands take ``physics=newton_mjwarp`` and
    ``physics=isaacsim_physx``; Newton, which needs no Isaac Sim, is the default.
    """
    from isaaclab_tasks.utils import preset

    from warpgrasp.eval.isaaclab.envs.base import automatic_device

    cfg = make_config(task, hand, device=automatic_device())
    newton = cfg.sim.physics
    physx = make_config(task, hand, physics="physx").sim.physics
    cfg.sim.physics = preset(default=newton, newton_mjwarp=newton, isaacsim_physx=physx)
    return cfg
