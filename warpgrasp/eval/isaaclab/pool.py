"""Grasps of one hand on several objects as torch tensors, for resets: which grasp goes to which world."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.protocol.squeeze_rules import HandTargets, SqueezeRule, hand_targets
from warpgrasp.grasps.case import load_recorded_object
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.objects import ObjectModel, example_object_names, example_object_path, load_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgrasp.hands.model import HandModel

__all__ = ["GraspPool", "grasped_object", "load_pool", "pool_of_targets", "shipped_grasps"]

_STAGES = ("pregrasp", "grasp", "squeeze")
_FOLDER = Path(__file__).parent / "grasps"


@dataclass(frozen=True, eq=False)
class GraspPool:
    """G grasps of one hand on O objects; the tensors are float32 on one device."""

    models: tuple[ObjectModel, ...]
    targets: HandTargets
    """The same poses as float64 arrays."""
    object_index: torch.Tensor
    """Object of each grasp, shape [G]."""
    center_of_mass: torch.Tensor
    """Centre of mass of each object in its own frame [m], shape [O, 3]."""
    pregrasp_root: torch.Tensor
    """Opened hand in the object frame, position and quaternion xyzw, shape [G, 7]."""
    pregrasp_joints: torch.Tensor
    """Shape [G, J]."""
    grasp_root: torch.Tensor
    grasp_joints: torch.Tensor
    squeeze_root: torch.Tensor
    squeeze_joints: torch.Tensor

    def __len__(self) -> int:
        """Number of grasps."""
        return len(self.object_index)

    def select(self, rows: NDArray[np.int64]) -> GraspPool:
        """The grasps ``rows`` [N] on the same objects."""
        index = torch.as_tensor(rows, device=self.object_index.device)
        of_grasps = ("object_index", *(f"{stage}_{part}" for stage in _STAGES for part in ("root", "joints")))
        chosen = {name: getattr(self, name)[index] for name in of_grasps}
        return dataclasses.replace(self, targets=self.targets.select(rows), **chosen)

    def sample(self, world_object: torch.Tensor) -> torch.Tensor:
        """A random grasp for worlds that hold the objects ``world_object`` [N]: indices, shape [N]."""
        matches = self.object_index[None, :] == world_object[:, None]
        return torch.multinomial(matches.float(), 1)[:, 0]


def shipped_grasps(hand_name: str) -> tuple[Path, ...]:
    """Grasp files that come with the package, one per shipped object.

    Raises:
        ValueError: There are none for this hand.
    """
    paths = tuple(sorted((_FOLDER / hand_name).glob("*.npz")))
    if not paths:
        raise ValueError(
            f"no grasps are shipped for hand {hand_name!r}; pass grasp files of your own (grasps=...)"
        )
    return paths


def grasped_object(grasps: GraspSet, name: str = "the grasps") -> ObjectModel:
    """The object of a grasp set, by its metadata: the shipped one of that name and content, or the file it was made with.

    Raises:
        ValueError: The metadata names no object, or the mesh has changed since.
    """
    entry = grasps.metadata.get("object")
    if not isinstance(entry, dict) or "path" not in entry:
        raise ValueError(f"{name}: the metadata names no object; generate the grasps with warpgrasp")
    path = Path(entry["path"])
    if path.stem in example_object_names():
        shipped = load_object(example_object_path(path.stem))
        if shipped.mesh_hash == entry.get("mesh_hash"):
            return shipped  # whatever file of that name lies in the working directory
        if not path.exists():
            path = shipped.path
    model = load_recorded_object(path, entry)
    if entry.get("mesh_hash", model.mesh_hash) != model.mesh_hash:
        raise ValueError(f"{name}: object {path} has changed since the grasps were made; generate them again")
    return model


def load_pool(
    hand: HandModel,
    grasps: Sequence[Path | str | GraspSet],
    *,
    device: torch.device | str,
    stiffness: NDArray[np.float64] | None = None,
    effort: NDArray[np.float64] | None = None,
    only_ok: bool = True,
    rule: SqueezeRule = SqueezeRule.TORQUE,
) -> GraspPool:
    """Read grasp files into one pool.

    Args:
        hand: The hand of the grasps.
        grasps: Files or sets, one or more per object.
        device: Device of the tensors.
        stiffness: Stiffness of the drives that will press [Nm/rad or N/m], shape [J]; the hand's own by default.
        effort: Effort limits of these drives, shape [J]; the hand's own by default.
        only_ok: Leave out grasps whose status is not OK or whose numbers are not finite.
        rule: Squeeze rule.

    Raises:
        ValueError: No grasps, or grasps of another hand.
    """
    models: dict[str, ObjectModel] = {}
    targets: list[HandTargets] = []
    index: list[int] = []
    for item in grasps:
        own = item if isinstance(item, GraspSet) else GraspSet.load(item)
        model = grasped_object(own, "the grasps" if isinstance(item, GraspSet) else str(item))
        model = models.setdefault(model.mesh_hash, model)
        part = hand_targets(
            hand,
            own,
            stiffness=hand.dof_stiffness if stiffness is None else stiffness,
            effort=effort,
            rule=rule,
        )
        keep = np.ones(len(own), dtype=bool)
        if only_ok:
            keep = (own.status == GraspStatus.OK) & part.valid()
        targets.append(part.select(np.flatnonzero(keep)))
        index += [list(models).index(model.mesh_hash)] * int(keep.sum())
    if not index:
        raise ValueError(f"the grasp files hold no usable grasp of hand {hand.name!r}; generate more")
    whole = HandTargets(
        *(
            np.concatenate([getattr(part, name) for part in targets])
            for name in HandTargets.__dataclass_fields__
        )
    )
    centers = [np.asarray(model.center_of_mass) for model in models.values()]
    return pool_of_targets(whole, centers, np.array(index), models=tuple(models.values()), device=device)


def pool_of_targets(
    targets: HandTargets,
    centers: Sequence[NDArray[np.float64]],
    object_index: NDArray[np.int64] | None = None,
    *,
    models: tuple[ObjectModel, ...] = (),
    device: torch.device | str = "cpu",
) -> GraspPool:
    """Targets as a pool.

    Args:
        targets: Poses of G grasps.
        centers: Centre of mass of each object in its own frame [m], each [3].
        object_index: Object of each grasp, shape [G]; the first when ``None``.
        models: The objects, where their meshes are needed.
        device: Device of the tensors.
    """

    def tensor(*parts: NDArray[np.float64]) -> torch.Tensor:
        return torch.as_tensor(np.concatenate(parts, axis=-1), dtype=torch.float32, device=device)

    index = np.zeros(len(targets), dtype=np.int64) if object_index is None else object_index
    return GraspPool(
        models=models,
        targets=targets,
        object_index=torch.as_tensor(index.astype(np.int64), device=device),
        center_of_mass=tensor(np.array(centers)),
        pregrasp_root=tensor(targets.pregrasp_position, targets.pregrasp_quaternion),
        pregrasp_joints=tensor(targets.pregrasp_joints),
        grasp_root=tensor(targets.grasp_position, targets.grasp_quaternion),
        grasp_joints=tensor(targets.grasp_joints),
        squeeze_root=tensor(targets.squeeze_position, targets.squeeze_quaternion),
        squeeze_joints=tensor(targets.squeeze_joints),
    )
