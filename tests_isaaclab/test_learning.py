"""The command lines train and play, on runs so short that they learn nothing; equal episodes for all policies."""

import importlib.util

import pytest
import torch

from warpgrasp.eval.isaaclab import play, train
from warpgrasp.eval.isaaclab.contacts import finger_groups
from warpgrasp.eval.isaaclab.scripts.play import successes
from warpgrasp.hands import load_hand

TASK = "WarpGrasp-Grasp-Robotiq2f140"


@pytest.mark.parametrize("library", ["rsl_rl", "skrl"])
def test_a_policy_is_trained_saved_and_played(tmp_path, capsys, library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    common = ["--num-envs", "4", "--device", "cpu", "--library", library]
    options = ["--options", "episode_length_s", "0.5", "finger_actions", "1"]
    out = tmp_path / "runs"
    assert train.main([TASK, *common, "--iterations", "1", "--out", str(out), *options]) == 0
    (run,) = out.iterdir()
    assert f"checkpoints  {run}" in capsys.readouterr().out
    checkpoints = sorted(run.glob("model_*.pt")) or sorted(run.glob("checkpoints/*.pt"))
    assert checkpoints
    assert list(run.glob("events*"))
    assert "episode_length_s: 0.5" in (run / "params" / "env.yaml").read_text()
    arguments = [TASK, *common, "--episodes", "4", "--checkpoint", str(checkpoints[-1]), *options]
    assert play.main(arguments) == 0
    assert "of 4 episodes" in capsys.readouterr().out


def test_unknown_tasks_are_named(capsys):
    assert train.main(["WarpGrasp-Juggle-Allegro"]) == 2
    assert "unknown task 'WarpGrasp-Juggle-Allegro'" in capsys.readouterr().err


def test_a_replay_is_not_trained(capsys):
    assert train.main(["WarpGrasp-Evaluate-Allegro"]) == 2
    assert "has nothing to learn; take a Grasp, Lift or Approach task" in capsys.readouterr().err


def test_all_policies_play_the_same_episodes(make):
    """Pushes and starts depend on the seed, not on what a policy does or when other worlds end."""
    environment = make(TASK, num_envs=4, position_noise=0.02, angle_noise=0.2, episode_length_s=0.9)

    def starts(action):
        environment.seed(5)
        environment.reset()
        found = environment.base.clone(), environment._pushes.clone(), environment.grasp.clone()
        environment.step(torch.full(environment.action_space.shape, action))
        return found

    for one, two in zip(starts(0.0), starts(1.0), strict=True):
        assert torch.equal(one, two)
    first = successes(environment, None, episodes=8, seed=3)
    assert torch.equal(first, successes(environment, None, episodes=8, seed=3))


def test_the_hand_is_wrong_by_the_noise_it_was_given(make):
    """And the policy sees by how much: a hand that is moved by the error has the object where the grasp has it."""
    noise = {"position_noise": 0.02, "angle_noise": 0.3}
    environment = make(TASK, num_envs=64, wrist=True, **noise)
    environment.reset()
    from warpgrasp.eval.isaaclab.frames import compose, inverse

    seen = compose(inverse(environment.adapter.link_pose()[:, 0]), environment.adapter.object_pose())
    error = environment.grasp_error(seen)
    way, angle = error[:, :3].norm(dim=1), error[:, 3:].norm(dim=1)
    assert 0.01 < way.max() < 0.02 + 1e-4
    assert 0.15 < angle.max() < 0.3 + 1e-3
    environment.cfg.position_noise = environment.cfg.angle_noise = 0.0
    environment.reset()
    seen = compose(inverse(environment.adapter.link_pose()[:, 0]), environment.adapter.object_pose())
    assert environment.grasp_error(seen).abs().max() < 1e-3


def test_joints_that_move_the_same_fingers_share_an_action():
    assert finger_groups(load_hand("robotiq_2f140")).tolist() == [0]
    assert finger_groups(load_hand("allegro")).tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_squeezing_by_fingers_closes_them(make):
    environment = make(TASK, num_envs=2, finger_actions=True, closing_time=10.0)
    environment.reset()
    before = environment.adapter.joint_position().clone()
    for _ in range(8):
        environment.step(torch.ones(environment.action_space.shape))
    assert environment.action_space.shape == (2, 1)
    assert (environment.adapter.joint_position() > before + 0.02).all()
