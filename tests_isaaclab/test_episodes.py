"""How episodes begin, end and are counted: random first lengths, physics that diverges, buffers that overflow."""

import logging

import pytest
import torch

TASK = "WarpGrasp-Grasp-Robotiq2f140"


def test_the_motion_starts_at_the_reset_whatever_length_a_runner_begins_with(make):
    """rsl_rl starts the lengths of the first episodes at random; all hands still begin to close at their pregrasps."""
    environment = make(TASK, num_envs=4, push_force=0.0, episode_length_s=0.9)
    environment.reset()
    environment.episode_length_buf = torch.tensor([0, 3, 9, 14])
    still = torch.zeros(environment.action_space.shape)
    pregrasp = environment.pool.pregrasp_joints[environment.grasp]
    environment.step(still)
    torch.testing.assert_close(environment._sent, pregrasp)
    torch.testing.assert_close(environment.targets, pregrasp)  # the motion as it is at the time 0
    assert environment.time.tolist() == pytest.approx([environment.step_dt] * 4)
    for _ in range(4):
        environment.step(still)
    assert environment.steps.tolist() == [
        5,
        5,
        5,
        1,
    ]  # the last was cut short after four steps and began anew
    assert torch.isnan(environment._outcome).all()  # and has no outcome


def test_a_world_that_diverges_pays_for_the_drop_and_is_counted(make):
    environment = make(TASK, num_envs=3, push_force=0.0)
    environment.reset()
    still = torch.zeros(environment.action_space.shape)
    environment.step(still)
    pose = torch.full((1, 7), torch.nan)
    environment.adapter.write_object(pose, torch.tensor([1], dtype=torch.int32))
    _, reward, terminated, _, extras = environment.step(still)
    assert terminated.tolist() == [False, True, False]
    penalty = environment.cfg.drop_penalty * environment.step_dt
    assert reward[1] == pytest.approx(-penalty, rel=0.05)
    assert (reward[[0, 2]] > 0.0).all()
    assert extras["log"]["Metrics/diverged"] == 1.0
    for _ in range(2):
        observed, reward, terminated, _, _ = environment.step(still)
        assert torch.isfinite(observed["policy"]).all()
        assert not terminated.any()  # the reset has put the world right
    assert (reward > 0.0).all()


def test_contacts_that_do_not_fit_are_counted_and_named_once(make, caplog):
    environment = make(TASK, num_envs=2, contact_limit=2, episode_length_s=0.5, push_force=0.0)
    environment.reset()
    still = torch.zeros(environment.action_space.shape)
    with caplog.at_level(logging.WARNING):
        for _ in range(2 * environment.max_episode_length):
            _, _, _, _, extras = environment.step(still)
    assert extras["log"]["Metrics/contact_overflow"] > 0.0
    named = [record for record in caplog.records if "contact_limit=2" in record.getMessage()]
    assert len(named) == 1


def test_a_lifted_object_is_held_for_half_a_second(make, monkeypatch):
    """Near and slow for ten steps is success; nine are not, nor is passing the height."""
    environment = make("WarpGrasp-Lift-Robotiq2f140", num_envs=2)
    environment.reset()
    height, speed = torch.zeros(2), torch.zeros(2, 6)
    monkeypatch.setattr(environment, "_rise", lambda: height)
    monkeypatch.setattr(environment.adapter, "object_velocity", lambda: speed)
    height[:] = environment.cfg.goal_height
    speed[1, 2] = 0.3  # m/s
    steps = round(environment.cfg.success_time / environment.step_dt)
    for _ in range(steps - 1):
        environment._get_dones()
    assert environment.episode_succeeded.tolist() == [False, False]
    environment._get_dones()
    assert environment.episode_succeeded.tolist() == [True, False]
    speed[1, 2] = 0.0
    height[0] = 0.0
    environment._get_dones()
    assert environment.episode_succeeded.tolist() == [False, False]
