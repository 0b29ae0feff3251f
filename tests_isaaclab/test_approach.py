"""Approach: what the policy senses and what it is not told, and the replay ablation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import warpgrasp.eval.isaaclab as registration
from warpgrasp.eval.isaaclab import scripted
from warpgrasp.eval.isaaclab.difficulty import DIFFICULTY
from warpgrasp.hands import hand_names, load_hand
from warpgrasp.hands.fingertip_force import fingertip_forces

TASK = "WarpGrasp-Approach-Robotiq2f140"


@pytest.fixture
def approach(make):
    """Six worlds at the full difficulty, with the objects of the training."""
    return make(TASK, num_envs=6, curriculum=None)


def test_the_hand_starts_afar_and_forces_are_felt_when_it_has_closed(approach):
    from warpgrasp.eval.isaaclab import mdp

    observed, _ = approach.reset()
    distance = approach.adapter.carrier_position()[:, :3].norm(dim=1)
    assert (distance > 0.1 - 1e-4).all()
    assert (distance < 0.25 + 1e-4).all()
    names = [approach.pool.models[index].name for index in approach.world_object.tolist()]
    assert set(names) == {"bottle", "duck"}  # the mug is held out
    told = {
        *approach.observation_manager.active_terms["policy"],
        *approach.observation_manager.active_terms["points"],
    }
    assert told.isdisjoint({"object_pose", "object_velocity", "grasp_error", "object_mass", "friction"})
    assert {"object_pose", "object_mass", "friction"} <= set(
        approach.observation_manager.active_terms["critic"]
    )
    assert mdp.fingertip_forces(approach).abs().max() == 0.0
    still = torch.zeros(6, approach.action_size)
    closed = approach.step_count(approach.closing_start + 2 * approach.cfg.closing_time)
    felt = torch.zeros(6, dtype=torch.bool)
    for _ in range(closed):
        observed = approach.step(still)[0]
        felt |= mdp.fingertip_forces(approach).abs().amax(dim=1) > 0.02
    assert felt.float().mean() > 0.5
    assert torch.isfinite(observed["policy"]).all()
    assert torch.isfinite(observed["critic"]).all()


def test_points_are_those_of_the_object_relative_to_where_it_was_believed(approach):
    """The mean of the points moves as the object does, in the axes of the hand, by 1 per 5 cm."""
    from warpgrasp.eval.isaaclab.mdp import object_points

    approach.reset()
    (found,) = approach.observation_manager._group_obs_term_cfgs["points"]
    term = found.func
    assert isinstance(term, object_points)
    before = term(approach, 64).view(6, 64, 3)
    way = np.array([0.01, -0.02, 0.03])
    moved = approach.place.clone()
    moved[:, :3] += torch.as_tensor(way, dtype=torch.float32)
    approach.adapter.write_object(moved, approach.all_worlds.to(torch.int32))
    after = term(approach, 64).view(6, 64, 3)
    turn = Rotation.from_quat(approach.adapter.link_pose()[:, 0, 3:].numpy())
    expected = 20.0 * turn.inv().apply(way)
    for point in (0, 63):
        np.testing.assert_allclose((after - before)[:, point].numpy(), expected, atol=2e-4)
    # The cloud lies around the believed centre, off by no more than the noise and the object's own asymmetry.
    assert (before.mean(dim=1) / 20.0).norm(dim=1).max() < 0.02 + 0.03


def test_friction_differs_between_worlds_and_reaches_the_solver(approach):
    from isaaclab_newton.physics import NewtonManager

    model = NewtonManager.get_model()
    mu, world = model.shape_material_mu.numpy(), model.shape_world.numpy()
    assert approach.friction.std() > 0.0
    for index, value in enumerate(approach.friction.tolist()):
        np.testing.assert_allclose(mu[world == index], value, rtol=1e-6)


def test_a_policy_that_does_not_look_is_its_own_replay(approach):
    """And one that looks is not: its mean actions differ from what it does in most worlds."""
    from warpgrasp.eval.isaaclab.scripts.replay import Recorder, replay_ablation
    from warpgrasp.eval.isaaclab.scripts.scripted import scripted_policy

    approach.cfg.push_force = 0.0
    tune = torch.linspace(-0.2, 0.2, approach.action_size).expand(6, -1)
    found = replay_ablation(approach, lambda _: tune, episodes=6, seed=5)
    assert (found.policy, found.gain, found.episodes) == (found.replay, 0.0, 6)
    assert "looking gains +0.0 +- 0.0 points" in found.sentence()
    recorder = Recorder(approach, scripted_policy("track", approach))
    approach.reset()
    before = approach.grasp_error(approach.root_frame()[1])[:, :3].norm(dim=1)
    for _ in range(approach.step_count(approach.closing_start)):
        acted = recorder(None)
        approach.step(acted)
    after = approach.grasp_error(approach.root_frame()[1])[:, :3].norm(dim=1)
    assert after.median() < 0.5 * before.median()  # the mean is one hand's that has knocked the object away
    assert (acted - recorder.mean()[approach.step_count(approach.closing_start) - 1]).abs().max() > 0.01


def test_the_teacher_says_what_the_written_policy_does(approach):
    """Also after a reset and once the hand closes, where both leave the wrist alone."""
    from warpgrasp.eval.isaaclab.scripts.scripted import scripted_policy

    track = scripted_policy("track", approach)
    observed, _ = approach.reset()
    closed = approach.step_count(approach.closing_start + 0.5 * approach.cfg.closing_time)
    for _ in range(closed):
        assert observed["teacher"][:, -6:].abs().max() > 0.0
        torch.testing.assert_close(observed["teacher"], track(observed))
        observed = approach.step(observed["teacher"])[0]
    late = approach.steps >= closed  # an object that was knocked away has begun anew
    assert late.float().mean() > 0.5
    assert observed["teacher"][late].abs().max() == 0.0


def test_objects_are_split_and_a_split_without_objects_is_refused(make):
    environment = make(TASK, num_envs=2, objects="held_out")
    assert {environment.pool.models[index].name for index in environment.world_object.tolist()} == {"mug"}
    environment.close()
    with pytest.raises(ValueError, match="objects='held_out' leaves none of bottle, duck, mug"):
        make(TASK, num_envs=2, objects="held_out", held_out=("spoon",))


def test_difficulty_grows_with_success():
    from isaaclab.managers import CurriculumTermCfg

    from warpgrasp.eval.isaaclab.mdp import grow_with_success

    env = SimpleNamespace(
        num_envs=3,
        device="cpu",
        all_worlds=torch.arange(3),
        steps=torch.tensor([4, 4, 0]),
        noise_scale=torch.ones(3),
        push_scale=torch.ones(3),
        episode_succeeded=torch.tensor([True, False, True]),
    )
    params = {"low": 0.5, "step": 0.2}
    term = grow_with_success(CurriculumTermCfg(func=grow_with_success, params=params), env)
    assert env.push_scale.tolist() == [0.5] * 3
    term(env, slice(None), **params)
    torch.testing.assert_close(env.noise_scale, torch.tensor([0.7, 0.5, 0.5]))  # the third had not begun
    for _ in range(5):
        term(env, slice(None), **params)
    assert env.push_scale.tolist() == [1.0, 0.5, 0.5]


def test_every_shipped_hand_has_its_difficulty():
    from warpgrasp.eval.isaaclab.envs.configs import make_config

    assert set(DIFFICULTY) == set(hand_names())
    assert make_config("Grasp", "shadow").push_force == DIFFICULTY["shadow"].push_force
    assert make_config("GraspManaged", "leap", push_force=3.0).push_force == 3.0
    masses = {
        task: make_config(task, "allegro").object_mass
        for task in ("Grasp", "Lift", "GraspManaged", "Approach")
    }
    assert set(masses.values()) == {DIFFICULTY["allegro"].object_mass}
    assert make_config("Lift", "allegro", object_mass=0.4).object_mass == 0.4
    assert all(name in registration.environment_ids() for name in [TASK])


@pytest.mark.parametrize("hand", hand_names())
def test_masses_are_what_the_fingertips_can_lift(hand):
    """All fingertips together press with at least 50 times the weight, and no hand is given a feather."""
    strength = sum(tip.force for tip in fingertip_forces(load_hand(hand)))
    mass = DIFFICULTY[hand].object_mass
    assert 0.04 <= mass <= 1.02 * strength / (50.0 * 9.81)


def test_scripted_policies_are_counted_and_printed(capsys):
    """Zero actions are the baseline of ``play``, on the same episodes; what a task has no actions for is left out."""
    from warpgrasp.eval.isaaclab.scripts.play import PlayOptions, play

    few = ["--num-envs", "6", "--episodes", "6", "--device", "cpu"]
    harder = ["--options", "episode_length_s", "1.2", "push_force", "1.0"]
    words = [
        "--tasks",
        "Grasp",
        "--hands",
        "robotiq_2f140",
        *few,
        "--policies",
        "zero",
        "open",
        "raise",
        *harder,
    ]
    assert scripted.main(words) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")][-3:]
    assert table[0] == "| Task | Hand | zero | open |"
    zero, opened = (int(cell.strip(" %")) for cell in table[2].split("|")[3:5])
    options = {"episode_length_s": 1.2, "push_force": 1.0}
    held = play(
        PlayOptions(
            task="WarpGrasp-Grasp-Robotiq2f140", num_envs=6, episodes=6, device="cpu", options=options
        )
    )
    assert zero == round(100 * float(held.float().mean()))
    assert 0 <= opened <= 100
    assert scripted.main(["--hands", "nobody"]) == 2
    assert "unknown hand 'nobody'" in capsys.readouterr().err
