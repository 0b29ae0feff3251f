"""The loader: the rows of the files, each once; batches, ranks, workers, points."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="data sets need pyarrow (extra scale)")
pytest.importorskip("torch", reason="the loader needs torch")

import pyarrow.dataset as ds
import torch
from data_set_factory import make
from torch.utils.data import DataLoader

from warpgrasp.grasps.sharded.folder import DataSetFolder
from warpgrasp.grasps.sharded.rows import list_values
from warpgrasp.torch import GraspDataset, GraspStream, Normalisation

PLAN = [
    "--primitives",
    "10",
    "--methods",
    "simulated",
    "--grasps",
    "7",
    "--objects-per-item",
    "4",
    "--views",
    "2",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("loader") / "set"
    assert make(path, plan=PLAN) == 0
    return path


def _keys(values: np.ndarray) -> list[bytes]:
    return sorted(row.tobytes() for row in np.asarray(values, np.float32))


def test_every_row_once(folder: Path) -> None:
    """Against the files, read by pyarrow."""
    table = ds.dataset(folder / "grasps", partitioning="hive").to_table()
    expected = _keys(list_values(table["joint_position"]))
    data = GraspDataset(folder)
    assert len(data) == 70
    assert _keys(data.arrays["joint_position"]) == expected
    loader = DataLoader(data, batch_size=8, shuffle=True, collate_fn=data.collate)
    batches = list(loader)
    assert batches[0]["joint_position"].shape == (8, 16)
    assert _keys(torch.cat([batch["joint_position"] for batch in batches]).numpy()) == expected
    one = data[3]
    assert one["root_quaternion"].shape == (4,)
    stacked = data.collate([data[0], data[1]])
    torch.testing.assert_close(stacked["root_position"], data.__getitems__([0, 1])["root_position"])


def test_splits_and_conditions(folder: Path) -> None:
    train, test = (GraspDataset(folder, split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (56, 14)
    assert not set(train.objects) & set(test.objects)
    with pytest.raises(ValueError, match="no column 'held_graspqp_5n'"):
        GraspDataset(folder, held="graspqp_5n")
    with pytest.raises(ValueError, match="no column 'velocity'"):
        GraspDataset(folder, columns=["velocity"])
    with pytest.raises(ValueError, match="cannot be tensors"):
        GraspDataset(folder, columns=["method"])
    with pytest.raises(ValueError, match="holds no grasps of shadow"):
        GraspDataset(folder, hand="shadow")
    with pytest.raises(TypeError, match="splits"):
        GraspStream(folder, batch_size=4, splits="train")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        GraspStream(folder, batch_size=0)
    with pytest.raises(ValueError, match=r"rank must be in \[0, 2\)"):
        GraspStream(folder, batch_size=4, rank=2, world_size=2)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_share_the_rows(folder: Path, world_size: int, workers: int) -> None:
    seen: list[np.ndarray] = []
    lengths = set()
    for rank in range(world_size):
        stream = GraspStream(
            folder, batch_size=5, rank=rank, world_size=world_size, columns=["joint_position"]
        )
        batches = list(
            DataLoader(
                stream,
                batch_size=None,
                num_workers=workers,
                multiprocessing_context="fork" if workers else None,
            )
        )
        lengths.add(len(batches))
        assert len(batches) == len(stream)
        seen += [batch["joint_position"].numpy() for batch in batches]
    assert lengths == {70 // (5 * world_size)}
    keys = _keys(np.concatenate(seen))
    # Whole row groups of 7 rows go to a process: a few rows may come twice and others not, never many.
    assert len(set(keys)) >= 0.7 * 70 if world_size > 1 or workers else len(set(keys)) == 70


def test_epochs_differ_and_repeat(folder: Path) -> None:
    stream = GraspStream(folder, batch_size=10)

    def first() -> np.ndarray:
        return next(iter(stream))["joint_position"].numpy()

    one = first()
    np.testing.assert_array_equal(one, first())
    stream.set_epoch(1)
    assert not np.array_equal(one, first())
    ordered = GraspStream(folder, batch_size=70, shuffle=False)
    (whole,) = list(ordered)
    np.testing.assert_array_equal(
        whole["joint_position"].numpy(), GraspDataset(folder).arrays["joint_position"]
    )


def test_workers_that_live_on_hear_of_the_epoch(folder: Path) -> None:
    stream = GraspStream(folder, batch_size=10, columns=["joint_position"])
    loader = DataLoader(
        stream, batch_size=None, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
    )
    for epoch in (0, 3):
        stream.set_epoch(epoch)
        alone = GraspStream(folder, batch_size=10, columns=["joint_position"])
        alone.set_epoch(epoch)
        for one, other in zip(loader, alone, strict=True):
            torch.testing.assert_close(one["joint_position"], other["joint_position"])


def test_points_lie_on_the_object_of_their_grasp(folder: Path) -> None:
    """Distance to the surface by the signed distance of the package, in float64; 1 um for float32."""
    data = GraspDataset(folder, points=64)
    batch = data.__getitems__(list(range(0, 70, 9)))
    assert batch["points"].shape == (8, 64, 3)
    from warpgrasp.objects.bodies import winding_distance

    for points, number in zip(batch["points"].numpy(), batch["object_index"].tolist(), strict=True):
        model = DataSetFolder(folder).object_model(data.objects[number])
        distance = winding_distance(model.vertices, model.faces.astype(np.int64), points.astype(np.float64))
        assert np.abs(distance).max() < 1e-6
    again = data.__getitems__(list(range(0, 70, 9)))
    assert not torch.equal(batch["points"], again["points"])
    partial = GraspDataset(folder, points=64, point_source="views").__getitems__([0, 1])
    assert partial["points"].shape == (2, 64, 3)
    with pytest.raises(ValueError, match="'surface' or 'views'"):
        GraspDataset(folder, points=3, point_source="everywhere")


def test_normalisation_and_pickling(folder: Path) -> None:
    data = GraspDataset(folder)
    scale = data.normalisation()
    assert isinstance(scale, Normalisation)
    batch = data.__getitems__(list(range(len(data))))
    scaled = scale.apply(batch)
    assert abs(scaled["joint_position"].mean()) < 1e-5
    torch.testing.assert_close(scale.invert(scaled)["joint_position"], batch["joint_position"])
    copy = pickle.loads(pickle.dumps(data))
    torch.testing.assert_close(copy[5]["joint_position"], data[5]["joint_position"])


def test_ten_lines_train(folder: Path) -> None:
    """The squeeze of these grasps keeps the root where it is: a linear model must find the identity."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = GraspDataset(folder, split="train", columns=["root_position", "squeeze_root_position"])
    scale = data.normalisation()
    model = torch.nn.Linear(3, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        for batch in DataLoader(data, batch_size=16, shuffle=True, collate_fn=data.collate):
            scaled = scale.apply(batch)
            loss = (model(scaled["root_position"]) - scaled["squeeze_root_position"]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss.item() < 1e-3
