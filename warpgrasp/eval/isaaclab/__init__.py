"""Gymnasium environments for Isaac Lab >= 3.0: replay grasps, learn to hold, learn to lift.

``import warpgrasp.eval.isaaclab`` registers one id per task and shipped hand, such as ``WarpGrasp-Grasp-Allegro``. Isaac
Lab itself is imported by ``gym.make`` or when a configuration is looked up, not before.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata

from warpgrasp.base.extras import install_extra
from warpgrasp.hands import hand_names

__all__ = ["TASKS", "WITH_CURRICULUM", "environment_ids", "require_isaaclab", "task_and_hand"]

TASKS: tuple[str, ...] = (
    "Evaluate",
    "Grasp",
    "Lift",
    "GraspManaged",
    "LiftManaged",
    "Approach",
    "ApproachDepth",
)
"""Tasks; each is registered for every shipped hand."""

WITH_CURRICULUM: tuple[str, ...] = ("Approach", "ApproachDepth")
"""Tasks that begin easier than they end."""

_LIKE = {"GraspManaged": "Grasp", "LiftManaged": "Lift"}  # whose agents' configurations another task takes

_INSTALL = f"on Python 3.12 or newer {install_extra('isaaclab')}"


def environment_ids() -> dict[str, tuple[str, str]]:
    """Registered ids, each with its task and hand: ``{"WarpGrasp-Lift-Allegro": ("Lift", "allegro"), ...}``."""
    return {f"WarpGrasp-{task}-{_camel(name)}": (task, name) for task in TASKS for name in hand_names()}


def task_and_hand(name: str) -> tuple[str, str]:
    """Task and hand of a registered id.

    Raises:
        ValueError: There is no such id.
    """
    ids = environment_ids()
    if name not in ids:
        raise ValueError(f"unknown task {name!r}; choose from {', '.join(ids)}")
    return ids[name]


def require_isaaclab() -> None:
    """Check that Isaac Lab 3 is there, without importing it.

    Raises:
        ImportError: It is missing or too old; the message says what to install.
    """
    try:
        version = importlib.metadata.version("isaaclab")
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(f"The Isaac Lab environments need isaaclab >= 3.0; {_INSTALL}") from error
    if int(version.split(".")[0]) < 3:
        raise ImportError(
            f"The Isaac Lab environments need isaaclab >= 3.0, where quaternions are xyzw and Newton is a physics "
            f"engine (installed: {version}); {_INSTALL}"
        )


def _camel(hand_name: str) -> str:
    """``robotiq_2f140`` -> ``Robotiq2f140``."""
    return "".join(word[:1].upper() + word[1:] for word in hand_name.split("_"))


def _agents(task: str) -> dict[str, str]:
    """Configurations of the learning libraries; a replay has nothing to learn."""
    task = _LIKE.get(task, task)
    agents = {"rsl_rl_cfg_entry_point": f"{__name__}.envs.agents:RslRl{task}", "default_agent": "rsl_rl"}
    if task == "Approach":
        agents["rsl_rl_distillation_cfg_entry_point"] = f"{__name__}.envs.agents:RslRlApproachDistillation"
    if task in ("Grasp", "Lift"):
        agents["skrl_cfg_entry_point"] = f"{__name__}:skrl_{task.lower()}.yaml"
    return agents


def _register() -> None:
    try:
        import gymnasium
    except ImportError as error:
        raise ImportError(
            f"The Isaac Lab environments need gymnasium and isaaclab >= 3.0; {_INSTALL}"
        ) from error
    for name, (task, hand) in environment_ids().items():
        if name in gymnasium.registry:
            continue
        gymnasium.register(
            id=name,
            entry_point=f"{__name__}.envs.configs:make_environment",
            disable_env_checker=True,
            kwargs={
                "task": task,
                "hand": hand,
                # Looked up by module attribute: nothing is imported until then.
                "env_cfg_entry_point": f"{__name__}.envs.configs:{task}_{hand}",
                **(_agents(task) if task != "Evaluate" else {}),
            },
        )


def _register_schemas() -> None:
    """Make Newton's USD schemas known; once a stage is open it is too late, and mimic joints would be ignored."""
    with contextlib.suppress(ImportError):
        importlib.import_module("newton_usd_schemas")


_register_schemas()
_register()
