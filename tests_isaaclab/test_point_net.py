"""The network that treats points as a set: order does not matter, place does, and what is exported does the same."""

import pytest
import torch
from rsl_rl.models import MLPModel
from tensordict import TensorDict

from warpgrasp.eval.isaaclab.point_net import PointNetModel

GROUPS = {"actor": ["policy", "points"], "blind": ["policy"]}


@pytest.fixture
def seen():
    torch.manual_seed(0)
    return TensorDict({"policy": torch.randn(5, 4), "points": torch.randn(5, 3 * 16)}, batch_size=[5])


def network(seen, **options):
    made = PointNetModel(seen, GROUPS, "actor", 2, hidden_dims=[8], obs_normalization=True, **options)
    made.update_normalization(seen)
    return made.eval()


@pytest.mark.parametrize("dims", [(6, 7), (6,), ()])
def test_permuted_points_get_the_same_action_and_moved_ones_another(seen, dims):
    act = network(seen, point_dims=dims)
    points = seen["points"].view(5, 16, 3)
    before = act(seen)
    assert before.shape == (5, 2)
    order = torch.stack([torch.randperm(16) for _ in range(5)])
    seen["points"] = points.gather(1, order[..., None].expand(-1, -1, 3)).flatten(1)
    torch.testing.assert_close(act(seen), before, atol=1e-5, rtol=0.0)
    seen["points"] = (points + torch.tensor([0.5, 0.0, 0.0])).flatten(1)
    latent = act.get_latent(seen)
    assert (act(seen) - before).abs().max() > 0.01
    # Moved points change nothing but their mean, which the perceptron is handed as it is.
    torch.testing.assert_close(latent[:, 4:7], points.mean(dim=1) + torch.tensor([0.5, 0.0, 0.0]))
    seen["points"] = points.flatten(1)
    torch.testing.assert_close(act.get_latent(seen)[:, 7:], latent[:, 7:], atol=1e-5, rtol=0.0)


def test_a_list_tells_permuted_points_apart(seen):
    """The perceptron of rsl_rl does: the first test would fail with it."""
    act = MLPModel(seen, GROUPS, "actor", 2, hidden_dims=[8])
    before = act(seen)
    seen["points"] = seen["points"].view(5, 16, 3).flip(1).flatten(1)
    assert (act(seen) - before).abs().max() > 0.01


def test_what_is_exported_does_the_same(seen):
    act = network(seen, distribution_cfg={"class_name": "GaussianDistribution", "init_std": 0.5})
    exported = torch.jit.script(act.as_jit())
    torch.testing.assert_close(exported(seen["policy"], seen["points"]), act(seen))
    file = act.as_onnx()
    assert file.input_names == ["obs", "points"]
    assert [tuple(part.shape) for part in file.get_dummy_inputs()] == [(1, 4), (1, 48)]


def test_a_network_that_sees_no_points_is_refused(seen):
    with pytest.raises(
        ValueError, match=r"network 'blind' needs a group of points 'points'.*take rsl_rl's MLPModel"
    ):
        PointNetModel(seen, GROUPS, "blind", 2)
