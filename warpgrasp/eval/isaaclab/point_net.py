"""A network for rsl_rl that treats points as a set: in whatever order they come, it does the same.

A perceptron that is handed points as a list learns what each number of the list does for the objects of its training, and
nothing about another object. Here one small network looks at every point alike, and of what it finds the largest values
count (PointNet, Qi et al. 2017). It sees the points about their mean, so that it describes a shape; the mean itself, which
says where the object is, goes past it to the rest of the network.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg
from rsl_rl.models import MLPModel
from rsl_rl.modules import MLP

__all__ = ["PointNetModel", "PointNetModelCfg", "PointSet"]


class PointSet(torch.nn.Module):
    """Points as a set: their mean, and the largest values of features of each point about the mean.

    Args:
        dims: Sizes of the layers that look at each point; without any only the mean is found.
        activation: Activation function of these layers, by its name in rsl_rl.
    """

    def __init__(self, dims: Sequence[int], activation: str) -> None:
        super().__init__()
        self.size = 3 + (dims[-1] if dims else 0)
        """Of what is found."""
        self.net = MLP(3, dims[-1], dims[:-1] or dims, activation) if dims else torch.nn.Identity()
        self._features = bool(dims)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Shape [..., size] for points [..., 3 N]."""
        points = points.unflatten(-1, (-1, 3))
        mean = points.mean(dim=-2)
        if not self._features:
            return mean
        found = self.net(points - mean.unsqueeze(-2)).amax(dim=-2)
        return torch.cat([mean, found], dim=-1)


class PointNetModel(MLPModel):
    """A perceptron on a set of points and on the other observations.

    Actor, critic or student of rsl_rl; its configuration is :class:`PointNetModelCfg`.

    Args:
        obs: Observations by group, each [W, n].
        obs_groups: Groups that each network sees.
        obs_set: The network's name in ``obs_groups``.
        output_dim: Number of outputs.
        point_group: The group that holds points, shape [W, 3 N].
        point_dims: Sizes of the layers that look at each point; without any only the mean of the points is seen.
        activation: Activation function of all layers.
        options: What else :class:`rsl_rl.models.MLPModel` takes. Points are not normalised.

    Raises:
        ValueError: The network does not see the group, or its size is no multiple of three.
    """

    def __init__(
        self,
        obs: Any,
        obs_groups: dict[str, list[str]],
        obs_set: str,
        output_dim: int,
        *,
        point_group: str = "points",
        point_dims: Sequence[int] = (32, 16),
        activation: str = "elu",
        **options: Any,
    ) -> None:
        seen = obs_groups[obs_set]
        if point_group not in seen or obs[point_group].shape[-1] % 3:
            raise ValueError(
                f"network {obs_set!r} needs a group of points {point_group!r}, shape [W, 3 N], but sees {', '.join(seen)}; "
                f"name one in obs_groups, or take rsl_rl's MLPModel"
            )
        points = PointSet(list(point_dims), activation)
        self.point_group, self.point_count, self._found = (
            point_group,
            obs[point_group].shape[-1] // 3,
            points.size,
        )
        super().__init__(obs, obs_groups, obs_set, output_dim, activation=activation, **options)
        self.points = points

    def get_latent(self, obs: Any, masks: Any = None, hidden_state: Any = None) -> torch.Tensor:
        """What the perceptron is handed, shape [W, others + points.size]."""
        others = super().get_latent(obs, masks, hidden_state)
        return torch.cat([others, self.points(obs[self.point_group])], dim=-1)

    def as_jit(self) -> torch.nn.Module:
        """The mean action as a module of two arguments, the other observations and the points; for Torch JIT."""
        return _Exported(self)

    def as_onnx(self, verbose: bool = False) -> torch.nn.Module:
        """The same for ONNX."""
        return _Exported(self)

    def _get_obs_dim(self, obs: Any, obs_groups: dict[str, list[str]], obs_set: str) -> tuple[list[str], int]:
        """Groups that are no points, and their size."""
        others = [name for name in obs_groups[obs_set] if name != self.point_group]
        groups, size = super()._get_obs_dim(obs, {obs_set: others}, obs_set)
        return groups, int(size)

    def _get_latent_dim(self) -> int:
        return int(self.obs_dim) + self._found


class _Exported(torch.nn.Module):
    """A network as rsl_rl writes it to files."""

    def __init__(self, model: PointNetModel) -> None:
        super().__init__()
        self.normalizer, self.points, self.mlp = copy.deepcopy(
            torch.nn.ModuleList([model.obs_normalizer, model.points, model.mlp])
        )
        own = model.distribution
        self.output = torch.nn.Identity() if own is None else own.as_deterministic_output_module()
        self.input_names, self.output_names = ["obs", model.point_group], ["actions"]
        self._sizes = (int(model.obs_dim), 3 * model.point_count)

    def forward(self, obs: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """The mean action, shape [W, A]."""
        found: torch.Tensor = self.output(
            self.mlp(torch.cat([self.normalizer(obs), self.points(points)], dim=-1))
        )
        return found

    def get_dummy_inputs(self) -> tuple[torch.Tensor, ...]:
        """Inputs of the right sizes."""
        return tuple(torch.zeros(1, size) for size in self._sizes)

    @torch.jit.export
    def reset(self) -> None:
        """Nothing to forget."""


@configclass
class PointNetModelCfg(RslRlMLPModelCfg):
    """Configuration of :class:`PointNetModel`."""

    class_name: str = "warpgrasp.eval.isaaclab.point_net:PointNetModel"
    point_group: str = "points"
    """The group that holds points."""
    point_dims: list[int] = [32, 16]  # noqa: RUF012
    """Sizes of the layers that look at each point; without any only the mean of the points is seen."""
