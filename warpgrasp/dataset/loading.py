"""Grasps as torch tensors: a data set in memory with random access, and a stream of batches from the disk.

Both give batches as dictionaries of tensors: the columns asked for, ``object_index`` [B] and, where asked for, ``points``
[B, P, 3]. torch is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.dataset.clouds import ObjectClouds
from warpgrasp.dataset.row_groups import GraspRows, RowQuery

try:
    from torch.utils.data import IterableDataset
except ImportError:  # said in a sentence when a stream is made
    IterableDataset = object

if TYPE_CHECKING:
    import torch

__all__ = ["GRASP_COLUMNS", "GraspDataset", "GraspStream", "Normalisation"]

GRASP_COLUMNS = ("root_position", "root_quaternion", "joint_position")
"""Columns of a batch by default."""
_GROUPS = 64  # row groups that a stream shuffles together


class Normalisation:
    """Mean and deviation of columns, to train on numbers around zero.

    Args:
        columns: Values by name, rows first.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        floats = {name: values for name, values in columns.items() if values.dtype.kind == "f"}
        self.mean: dict[str, Any] = {name: values.mean(axis=0) for name, values in floats.items()}
        self.deviation: dict[str, Any] = {
            name: np.maximum(values.std(axis=0), 1.0e-6) for name, values in floats.items()
        }

    def apply(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch with its columns normalised; others are left alone."""
        return {name: self._scaled(name, value, forward=True) for name, value in batch.items()}

    def invert(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of :meth:`apply`, for what a model gives."""
        return {name: self._scaled(name, value, forward=False) for name, value in batch.items()}

    def _scaled(self, name: str, value: Any, *, forward: bool) -> Any:
        if name not in self.mean:
            return value
        mean, deviation = self.mean[name], self.deviation[name]
        if not isinstance(value, np.ndarray):
            torch = _import_torch()
            mean, deviation = (
                torch.as_tensor(part, dtype=value.dtype, device=value.device) for part in (mean, deviation)
            )
        return (value - mean) / deviation if forward else value * deviation + mean


class _Source:
    """What a loader reads: some rows of one hand, with points of their objects where asked for."""

    def __init__(
        self,
        folder: Path | str,
        *,
        hand: str | None = None,
        grasp_type: str | None = None,
        split: str | None = None,
        held: str | None = None,
        every_status: bool = False,
        columns: Sequence[str] = GRASP_COLUMNS,
        points: int = 0,
        point_source: str = "surface",
        seed: int = 0,
    ) -> None:
        self._torch = _import_torch()
        query = RowQuery(hand=hand, grasp_type=grasp_type, split=split, held=held, every_status=every_status)
        self.rows = GraspRows(folder, query)
        self.rows.check(columns)
        self.columns = tuple(columns)
        self.seed = seed
        self.joint_names, self.objects = self.rows.columns.joint_names, self.rows.objects
        self.clouds = ObjectClouds(Path(folder), points, source=point_source, seed=seed) if points else None
        self._begin()

    def _begin(self) -> None:
        """What a loader does when all is known."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_torch"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._torch = _import_torch()

    def _add_points(self, batch: dict[str, torch.Tensor], random: np.random.Generator) -> None:
        """Put ``points`` [B, P, 3] into a batch, where asked for."""
        if self.clouds is not None:
            hashes = [self.objects[number] for number in batch["object_index"].tolist()]
            batch["points"] = self._torch.from_numpy(self.clouds.batch(hashes, random))


class GraspDataset(_Source):
    """Grasps of one hand in memory: a map-style data set for ``torch.utils.data.DataLoader``.

    Pass ``collate_fn=data.collate``; batches are fetched whole. Points are drawn anew at each access.

    Args:
        folder: Data set of ``python -m warpgrasp.dataset``.
        hand: Needed where it holds several.
        grasp_type: All by default.
        split: ``train`` or ``test``; both by default.
        held: Only grasps that hold under this protocol, such as ``graspqp_5n``.
        every_status: Also grasps whose status is not OK.
        columns: Columns of a batch.
        points: Points of each object's cloud; 0 for none.
        point_source: ``surface``, or ``views`` for partial clouds.
        seed: Of the points.

    Raises:
        ImportError: torch or pyarrow is not installed.
        ValueError: No such rows or columns.
    """

    def _begin(self) -> None:
        read = self.rows.read(self.rows.groups, self.columns)
        self.arrays = {name: _tensor_ready(values) for name, values in read.items()}
        self._random: np.random.Generator | None = None
        self._make_tensors()

    def __len__(self) -> int:
        """Number of grasps."""
        return len(self.arrays["object_index"])

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """One grasp, without the axis of batches."""
        return {name: value[0] for name, value in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """A batch; ``DataLoader`` calls it with all indices at once."""
        index = self._torch.as_tensor(indices, dtype=self._torch.int64)
        batch = {name: values[index] for name, values in self._tensors.items()}
        if self.clouds is not None:
            self._add_points(batch, self._generator())
        return batch

    def _make_tensors(self) -> None:
        """Tensors that share the memory of the arrays."""
        self._tensors = {name: self._torch.from_numpy(values) for name, values in self.arrays.items()}

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["_tensors"], state["_random"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._random = None
        self._make_tensors()

    def normalisation(self) -> Normalisation:
        """Mean and deviation of the columns over all rows."""
        return Normalisation(self.arrays)

    @staticmethod
    def collate(batch: Any) -> dict[str, torch.Tensor]:
        """A batch as it comes from :meth:`__getitems__`, or single grasps stacked."""
        if isinstance(batch, dict):
            return batch
        torch = _import_torch()
        return {name: torch.stack([item[name] for item in batch]) for name in batch[0]}

    def _generator(self) -> np.random.Generator:
        if self._random is None:  # each worker process has its own
            self._random = np.random.default_rng([self.seed, _worker()[0], _worker_seed(self._torch)])
        return self._random


class GraspStream(_Source, IterableDataset):  # type: ignore[misc,valid-type,unused-ignore]
    """Batches of grasps from the disk, for data sets that do not fit into memory.

    Pass it to ``DataLoader(stream, batch_size=None, num_workers=...)``. Row groups are read in a random order that every rank
    and worker derives from seed and epoch; each takes its own part, 64 row groups at a time, and shuffles their rows. All
    ranks give the same number of batches: some ranks leave a few rows out, others repeat a few.

    Args:
        folder: Data set of ``python -m warpgrasp.dataset``.
        batch_size: Grasps per batch.
        shuffle: Otherwise in the order of the files.
        rank: Of this process among ``world_size`` that train together; by default those of ``torch.distributed``.
        world_size: Number of processes that train together.
        options: ``hand``, ``grasp_type``, ``split``, ``held``, ``every_status``, ``columns``, ``points``, ``point_source`` and
            ``seed``, as in :class:`GraspDataset`; the seed is also that of the order.

    Raises:
        ImportError: torch or pyarrow is not installed.
        ValueError: No such rows or columns, or a number is out of range.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        batch_size: int,
        shuffle: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
        **options: Any,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1 (got {batch_size})")
        super().__init__(folder, **options)
        torch = self._torch
        self.batch_size, self.shuffle = batch_size, shuffle
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that live on see it change
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = rank if rank is not None else (torch.distributed.get_rank() if together else 0)
        self.world_size = world_size or (torch.distributed.get_world_size() if together else 1)
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must be in [0, {self.world_size}) (got {self.rank})")

    def __len__(self) -> int:
        """Batches of this rank in one epoch; at least one."""
        return max(len(self.rows) // (self.world_size * self.batch_size), 1)

    def set_epoch(self, epoch: int) -> None:
        """Another order; call it before each epoch, on all ranks alike."""
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        (worker, workers), epoch = _worker(), int(self._epoch)
        order = np.arange(len(self.rows.groups))
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        part, parts = self.rank * workers + worker, self.world_size * workers
        own = order[part::parts]
        if len(own) == 0:  # fewer row groups than processes: those share
            own = order[part % len(order) :: len(order)]
        random = np.random.default_rng([self.seed, epoch, part])
        quota = len(self) // workers + (worker < len(self) % workers)
        source = self._batches(own, random)
        for _ in range(quota):
            batch = {name: self._torch.from_numpy(values) for name, values in next(source).items()}
            self._add_points(batch, random)
            yield batch

    def _batches(
        self, own: NDArray[np.int64], random: np.random.Generator
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Whole batches without end, round after round through the own row groups."""
        rest: dict[str, NDArray[Any]] = {}
        while True:
            for start in range(0, len(own), _GROUPS):
                groups = [self.rows.groups[index] for index in own[start : start + _GROUPS]]
                part = {
                    name: _tensor_ready(values)
                    for name, values in self.rows.read(groups, self.columns).items()
                }
                if self.shuffle:
                    mixed = random.permutation(len(part["object_index"]))
                    part = {name: values[mixed] for name, values in part.items()}
                rest = {name: np.concatenate([rest[name], part[name]]) for name in part} if rest else part
                whole = len(rest["object_index"]) // self.batch_size
                for number in range(whole):
                    rows = slice(number * self.batch_size, (number + 1) * self.batch_size)
                    yield {name: values[rows] for name, values in rest.items()}
                rest = {name: values[whole * self.batch_size :] for name, values in rest.items()}


def _tensor_ready(values: NDArray[Any]) -> NDArray[Any]:
    """A writable array of a type that torch has."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"columns of text cannot be tensors (got {values.dtype}); read them with pyarrow")
    return np.array(values)


def _worker() -> tuple[int, int]:
    """Number of this worker process of a loader, and how many there are."""
    info = _import_torch().utils.data.get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def _worker_seed(torch: Any) -> int:
    """Differs from epoch to epoch in the workers of a loader."""
    info = torch.utils.data.get_worker_info()
    return 0 if info is None else int(info.seed) % 2**32


def _import_torch() -> Any:
    try:
        import torch
        import torch.utils.data
    except ImportError as error:
        raise ImportError(
            "Loading grasps as tensors needs torch; see pytorch.org for the command that fits your machine."
        ) from error
    return torch
