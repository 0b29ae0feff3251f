"""Every registered id is made, reset and stepped with two worlds."""

import pytest
import torch

import warpgrasp.eval.isaaclab as registration


def _names():
    """All direct environments, and of the others, which differ in terms and not in scenes, those of two hands."""
    for name, (task, hand) in sorted(registration.environment_ids().items()):
        if task in ("Evaluate", "Grasp", "Lift") or hand in ("allegro", "robotiq_2f140"):
            yield name


@pytest.mark.parametrize("name", _names())
def test_every_id_is_made_reset_and_stepped(make, name):
    environment = make(name, num_envs=2)
    observed, _ = environment.reset()
    generator = torch.Generator().manual_seed(0)
    shape = environment.action_space.shape
    for _ in range(3):
        space = environment.observation_space
        assert observed["policy"].shape == (space["policy"] if hasattr(space, "spaces") else space).shape
        assert torch.isfinite(observed["policy"]).all()
        action = 0.2 * torch.rand(shape, generator=generator)
        observed, reward, terminated, timed_out, _ = environment.step(action)
        assert reward.shape == terminated.shape == timed_out.shape == (2,)
        assert torch.isfinite(reward).all()
    assert (environment.adapter.link_pose()[..., 3:].norm(dim=-1) - 1.0).abs().max() < 1e-3
