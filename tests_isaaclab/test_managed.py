"""The manager-based form: equal to the direct one on equal states, terms can be overridden, episodes are recorded."""

import h5py
import pytest
import torch

import warpgrasp.eval.isaaclab as registration

HAND = "Robotiq2f140"


def _trajectory(environment, steps):
    """Observations and rewards of equal starts and actions; no world ends in these steps."""
    torch.manual_seed(3)
    observed, _ = environment.reset()
    seen, rewards = [observed["policy"]], []
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        action = 0.3 * torch.rand(environment.num_envs, environment.action_size, generator=generator)
        observed, reward, terminated, timed_out, _ = environment.step(action)
        assert not (terminated | timed_out).any()
        seen.append(observed["policy"])
        rewards.append(reward.clone())  # managers reuse the buffer
    return torch.stack(seen), torch.stack(rewards)


@pytest.mark.parametrize(
    ("task", "options", "steps"),
    [
        ("Grasp", {"position_noise": 0.01, "angle_noise": 0.2, "closing_time": 0.15, "push_force": 0.5}, 9),
        ("Lift", {}, 5),
    ],
)
def test_both_forms_see_and_earn_the_same(make, task, options, steps):
    """Bit by bit; rewards up to the order of their sum. The pushes of Grasp begin within these steps."""
    direct = make(f"WarpGrasp-{task}-{HAND}", num_envs=4, **options)
    expected = _trajectory(direct, steps)
    direct.close()
    managed = make(f"WarpGrasp-{task}Managed-{HAND}", num_envs=4, **options)
    seen, rewards = _trajectory(managed, steps)
    assert managed.observation_space["policy"].shape == (4, expected[0].shape[2])
    torch.testing.assert_close(seen, expected[0], rtol=0.0, atol=0.0)
    torch.testing.assert_close(rewards, expected[1], rtol=1e-5, atol=1e-7)
    assert rewards.abs().min() > 0.0


def _closure_only(env):
    """A reward term of a user's own, on the public interface of the task."""
    return env.geometry.force_closure(env.measured_contact())


def test_terms_are_overridden_and_episodes_recorded(make, tmp_path):
    """As in any manager-based environment of Isaac Lab: replace a term, drop one, write HDF5, read it back."""
    from isaaclab.managers import RewardTermCfg

    from warpgrasp.eval.isaaclab import mdp
    from warpgrasp.eval.isaaclab.envs.configs import make_config

    name = f"WarpGrasp-GraspManaged-{HAND}"
    cfg = make_config("GraspManaged", "robotiq_2f140", num_envs=3, device="cpu", episode_length_s=0.25)
    full = 49
    cfg.rewards.contact = RewardTermCfg(func=_closure_only, weight=-1.0)
    cfg.observations.policy.object_velocity = None
    cfg.recorders = mdp.GraspRecorderManagerCfg(
        dataset_export_dir_path=str(tmp_path), dataset_filename="episodes"
    )
    environment = make(name, cfg=cfg)
    observed, _ = environment.reset()
    assert observed["policy"].shape == (3, full - 6)
    still = torch.zeros(3, environment.action_size)
    grasps, place = environment.grasp.tolist(), environment.place.clone()
    for _ in range(environment.max_episode_length):
        environment.step(still)
    assert environment.extras["log"]["Episode_Reward/contact"] < 0.0
    environment.close()
    with h5py.File(tmp_path / "episodes.hdf5") as file:
        episodes = [file["data"][key] for key in sorted(file["data"])]
        assert len(episodes) == 3
        for episode in episodes:
            assert episode["actions"].shape == (5, 1)
            assert episode["obs"].shape == (5, full - 6)
            assert episode["contact"]["touching"].shape == (5, 2)
            assert set(episode["states"]) >= {"articulation", "rigid_object"}
            assert episode.attrs["success"]  # nobody pushes yet
        recorded = [int(episode["grasp"]["index"][0, 0]) for episode in episodes]
        assert sorted(recorded) == sorted(grasps)
        for episode in episodes:
            world = grasps.index(int(episode["grasp"]["index"][0, 0]))
            torch.testing.assert_close(torch.as_tensor(episode["grasp"]["place"][0]), place[world])


def test_every_hand_has_the_managed_tasks_and_their_agents():
    from isaaclab_tasks.utils.parse_cfg import load_cfg_from_registry

    ids = registration.environment_ids()
    assert ids["WarpGrasp-LiftManaged-Shadow"] == ("LiftManaged", "shadow")
    cfg = load_cfg_from_registry("WarpGrasp-LiftManaged-Shadow", "env_cfg_entry_point")
    assert cfg.carrier is not None
    assert cfg.events.place.params["position_range"] == (-0.05, 0.05)
    agent = load_cfg_from_registry("WarpGrasp-GraspManaged-Shadow", "rsl_rl_cfg_entry_point")
    assert agent.experiment_name == "warpgrasp_grasp"
