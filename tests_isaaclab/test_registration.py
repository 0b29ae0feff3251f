"""Ids are registered for every hand without importing Isaac Lab; what is missing is named."""

import importlib.metadata
import subprocess
import sys

import gymnasium
import pytest

import warpgrasp.eval.isaaclab as registration
from warpgrasp.hands import hand_names


def test_one_id_per_task_and_hand():
    ids = registration.environment_ids()
    assert len(ids) == len(registration.TASKS) * len(hand_names())
    assert ids["WarpGrasp-Grasp-Allegro"] == ("Grasp", "allegro")
    assert all(name in gymnasium.registry for name in ids)


def test_registering_imports_neither_isaaclab_nor_torch():
    code = (
        "import sys, gymnasium, warpgrasp.eval.isaaclab\n"
        "assert 'WarpGrasp-Lift-Allegro' in gymnasium.registry\n"
        "loaded = {name.split('.')[0] for name in sys.modules} & {'isaaclab', 'torch', 'newton', 'warp'}\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("version", ["2.3.0", None])
def test_old_or_missing_isaac_lab_is_refused_with_a_sentence(monkeypatch, version):
    def answer(name):
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", answer)
    with pytest.raises(ImportError, match=r"isaaclab >= 3\.0.*extra 'isaaclab'"):
        registration.require_isaaclab()


def test_isaac_labs_registry_finds_the_configurations():
    from isaaclab_tasks.utils.parse_cfg import load_cfg_from_registry

    cfg = load_cfg_from_registry("WarpGrasp-Grasp-Allegro", "env_cfg_entry_point")
    assert (cfg.hand, cfg.action_space, cfg.observation_space) == ("allegro", 16, 130)
    assert cfg.sim.device in ("cpu", "cuda:0")
    agent = load_cfg_from_registry("WarpGrasp-Grasp-Allegro", "rsl_rl_cfg_entry_point")
    assert agent.experiment_name == "warpgrasp_grasp"
    assert load_cfg_from_registry("WarpGrasp-Lift-Allegro", "skrl_cfg_entry_point")["agent"]["class"] == "PPO"


def test_physics_is_known_before_the_simulation_starts():
    """Where it is None, ``isaaclab train`` asks for Isaac Sim; the presets are named as Isaac Lab names them."""
    from isaaclab_newton.physics import NewtonCfg
    from isaaclab_physx.physics import PhysxCfg
    from isaaclab_tasks.utils import parse_env_cfg

    for name in registration.environment_ids():
        assert isinstance(parse_env_cfg(name).sim.physics, NewtonCfg), name
    cfg = parse_env_cfg("WarpGrasp-Lift-Allegro", overrides=["physics=isaacsim_physx"])
    assert isinstance(cfg.sim.physics, PhysxCfg)


def test_options_reach_the_solver_and_the_rest_of_it_is_the_users():
    from isaaclab_tasks.utils import parse_env_cfg

    overrides = ["env.contact_limit=32", "env.cone=elliptic", "env.sim.physics.solver_cfg.ls_iterations=7"]
    cfg = parse_env_cfg("WarpGrasp-Grasp-Robotiq2f140", overrides=overrides)
    cfg.fill_physics(object_count=3)
    solver = cfg.sim.physics.solver_cfg
    assert (solver.nconmax, solver.njmax, solver.cone, solver.ls_iterations) == (32, 128, "elliptic", 7)


def test_an_agent_runs_where_the_simulation_runs(monkeypatch):
    """Isaac Lab's commands hand --device to the environment only."""
    from types import SimpleNamespace

    from isaaclab.sim import SimulationContext

    from warpgrasp.eval.isaaclab.envs.agents import RslRlGrasp

    agent = RslRlGrasp()
    monkeypatch.setattr(SimulationContext, "instance", lambda: SimpleNamespace(device="cuda:1"))
    assert agent.device == "cuda:1"
    agent.device = "cpu"
    assert agent.device == "cpu"


def test_unknown_options_are_named():
    from warpgrasp.eval.isaaclab.envs.configs import make_config

    with pytest.raises(ValueError, match="no option 'frction'"):
        make_config("Grasp", frction=1.0)
    from warpgrasp.eval.isaaclab.adapter import physics_config

    with pytest.raises(ValueError, match="physics must be newton or physx"):
        physics_config("bullet")


def test_physx_is_configured_without_isaac_sim():
    """Everything up to the start of the simulation; then one sentence says what is missing."""
    from isaaclab_physx.physics import PhysxCfg

    from warpgrasp.eval.isaaclab.envs.configs import make_config
    from warpgrasp.eval.isaaclab.envs.lift import LiftEnv

    cfg = make_config("Lift", "robotiq_2f140", physics="physx", num_envs=4, device="cpu")
    environment = LiftEnv.__new__(LiftEnv)
    environment._prepare(cfg)
    assert isinstance(cfg.sim.physics, PhysxCfg)
    assert cfg.scene.hand.spawn.usd_path.endswith(".usda")
    assert set(cfg.scene.hand.actuators) == {"hand", "carrier"}
    assert all(part.usd_path.endswith(".usda") for part in cfg.scene.object.spawn.assets_cfg)
    with pytest.raises(ImportError, match="physics='physx' needs Isaac Sim: install it and start"):
        gymnasium.make("WarpGrasp-Grasp-Robotiq2f140", physics="physx", num_envs=2, device="cpu")
