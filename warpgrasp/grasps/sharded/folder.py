"""The folder of a data set: where things lie, and how they are read back.

Layout::

    grasps/hand=<hand>/grasp_type=<type>/*.parquet   one row per grasp, one row group per object
    views/*.parquet                                  one row per picture, see warpgrasp.dataset.views
    objects.parquet  hands.parquet  views.parquet    one row per object, hand and picture
    assets/objects/<mesh hash>.obj                   every object once, in metres, exactly as the synthesis saw it
    assets/hands/<hand>_<asset hash>/                every hand once, USD with all it refers to
    plan/<number>.json                               what was asked for; a number per extension
    work/                                            attempts, failures, logs; of no use to readers
    DATASHEET.md  croissant.json                     what the data set is, for people and for machines
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.sharded.columns import Columns, import_pyarrow, read_footer
from warpgrasp.grasps.sharded.rows import list_values, read_grasps
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.objects import ObjectError, ObjectModel, load_object

__all__ = ["DataSetFolder", "ShardFile", "is_data_set", "object_file_name"]

_HASH_DIGITS = 16  # of a hash in the name of an asset


def is_data_set(path: Path) -> bool:
    """Whether a folder holds a data set."""
    return path.is_dir() and (path / "grasps").is_dir() and any((path / "grasps").glob("hand=*"))


def object_file_name(mesh_hash: str) -> str:
    """Name of the asset of an object."""
    return f"{mesh_hash[:_HASH_DIGITS]}.obj"


@dataclass(frozen=True)
class ShardFile:
    """One Parquet file of grasps."""

    path: Path
    hand: str
    grasp_type: str

    def open(self) -> Any:
        """The file as ``pyarrow.parquet.ParquetFile``.

        Raises:
            ValueError: It cannot be read.
        """
        pa = import_pyarrow()
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.path)
        except (OSError, pa.ArrowException) as error:
            raise ValueError(
                f"{self.path} is not a readable Parquet file ({error}); remove it and run the plan again."
            ) from error

    def footer(self) -> dict[str, Any]:
        """The JSON of its footer."""
        return read_footer(self.open().schema_arrow.metadata, self.path)

    def columns(self) -> Columns:
        """Its columns."""
        return Columns.from_footer(self.footer()["columns"])


class DataSetFolder:
    """A data set on the disk, opened for reading.

    Raises:
        ValueError: There is no data set.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not is_data_set(self.path):
            raise ValueError(
                f"{self.path} holds no data set (no folder grasps/hand=...); name a folder of python -m warpgrasp.dataset."
            )
        self._hands: dict[str, HandModel] = {}

    def shards(self, *, hand: str | None = None, grasp_type: str | None = None) -> list[ShardFile]:
        """Its files in the order of their names, of one hand or grasp type where named.

        Raises:
            ValueError: There are none of that hand or grasp type.
        """
        found = []
        for path in sorted((self.path / "grasps").glob("hand=*/grasp_type=*/*.parquet")):
            names = [part.partition("=")[2] for part in path.parts[-3:-1]]
            if hand in (None, names[0]) and grasp_type in (None, names[1]):
                found.append(ShardFile(path, names[0], names[1]))
        if not found:
            wanted = " and ".join(f"{name}" for name in (hand, grasp_type) if name) or "any hand"
            raise ValueError(f"{self.path} holds no grasps of {wanted}")
        return found

    def table(self, name: str) -> Any:
        """``objects``, ``hands`` or ``views`` as an Arrow table.

        Raises:
            ValueError: It has not been written yet.
        """
        import_pyarrow()
        import pyarrow.parquet as pq

        path = self.path / f"{name}.parquet"
        if not path.exists():
            raise ValueError(f"{path} is missing; python -m warpgrasp.dataset stats {self.path} writes it")
        return pq.read_table(path)

    def read(self, shards: Sequence[ShardFile], columns: Sequence[str] | None = None) -> Any:
        """Grasps of some files of one hand as one Arrow table; columns that a file lacks become null."""
        pa = import_pyarrow()
        tables = []
        for shard in shards:
            file = shard.open()
            names = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
            tables.append(file.read(columns=names).replace_schema_metadata(None))
        return pa.concat_tables(tables, promote_options="default").unify_dictionaries()

    def object_path(self, mesh_hash: str) -> Path:
        """The mesh of an object."""
        return self.path / "assets" / "objects" / object_file_name(mesh_hash)

    def object_model(self, mesh_hash: str) -> ObjectModel:
        """The object, exactly as the synthesis saw it.

        Raises:
            ValueError: The mesh is missing, damaged or changed.
        """
        path = self.object_path(mesh_hash)
        try:
            model = load_object(path)
        except (ObjectError, OSError) as error:
            raise ValueError(f"the mesh of an object cannot be read: {error}") from error
        if model.mesh_hash != mesh_hash:
            raise ValueError(
                f"{path} has changed since the grasps were made (mesh hash {model.mesh_hash[:8]} instead of {mesh_hash[:8]})."
            )
        return model

    def hand(self, name: str, asset_hash: str = "") -> HandModel:
        """A hand of the data set: the shipped one where it is still the same, otherwise the copy in the folder.

        Raises:
            ValueError: The hand is neither shipped nor among the assets.
        """
        key = f"{name}_{asset_hash}"
        if key in self._hands:
            return self._hands[key]
        model = load_hand(name) if name in hand_names() else None
        if model is None or (asset_hash and model.asset_hash != asset_hash):
            copy = self.hand_copy(name, asset_hash)
            if copy is None:
                raise ValueError(
                    f"hand {name!r} is neither shipped nor among the assets of {self.path}; pass --hand."
                )
            model = copy[1]
        self._hands[key] = model
        return model

    def hand_copy(self, name: str, asset_hash: str = "") -> tuple[Path, HandModel] | None:
        """File and model of a hand among the assets, that of the hash where there is one; ``None`` where there is none."""
        found = None
        for path in sorted((self.path / "assets" / "hands").glob(f"{name}_*/*.usd*")):
            try:
                copy = load_hand(str(path))
            except ValueError:  # a layer that the hand refers to, such as its meshes
                continue
            if asset_hash in ("", copy.asset_hash):
                return path, copy
            found = found or (path, copy)
        return found

    def cases(self, *, hand: str | None = None) -> dict[Path, Callable[[], GraspCase]]:
        """The grasps of every object as :class:`~warpgrasp.grasps.case.GraspCase`, each read when it is called.

        Each has a path that names it, ``<data set>/<hand>/<grasp type>/<object>.npz``, which does not exist. Grasps of several
        seeds and files lie together; where an object has grasps of several methods or contact counts, its name carries
        both. A call raises ``ValueError`` where an asset is missing or has changed.

        Args:
            hand: Name or path of the hand, where the data set does not find it.
        """
        groups: dict[tuple[str, str, str, str, str], list[tuple[ShardFile, int]]] = {}
        for shard in self.shards():
            file = shard.open()
            for number in range(file.num_row_groups):
                head = file.read_row_group(
                    number, columns=["object", "object_hash", "method", "contact_count"]
                )
                kinds_here = sorted({tuple(row.values()) for row in head.to_pylist()})
                for name, mesh_hash, method, contacts in kinds_here:
                    key = (shard.hand, shard.grasp_type, name, mesh_hash, f"{method}_{contacts}")
                    groups.setdefault(key, []).append((shard, number))
        kinds: dict[tuple[str, str, str], int] = {}
        for key in groups:
            kinds[key[:3]] = kinds.get(key[:3], 0) + 1
        found: dict[Path, Callable[[], GraspCase]] = {}
        for key, members in groups.items():
            name = key[2] if kinds[key[:3]] == 1 else f"{key[2]}_{key[4]}"
            path = self.path / key[0] / key[1] / f"{name}.npz"
            found[path] = functools.partial(self._case, path, key, members, hand)
        return found

    def _case(
        self,
        path: Path,
        key: tuple[str, str, str, str, str],
        members: Sequence[tuple[ShardFile, int]],
        hand: str | None,
    ) -> GraspCase:
        pa = import_pyarrow()
        tables = [shard.open().read_row_group(number) for shard, number in members]
        footer = members[0][0].footer()
        configs = {name: config for shard, _ in members for name, config in shard.footer()["configs"].items()}
        footer = {**footer, "configs": configs}
        table = pa.concat_tables(
            [table.replace_schema_metadata(None) for table in tables], promote_options="default"
        ).unify_dictionaries()
        method, _, contacts = key[4].rpartition("_")
        ours = np.asarray(table["method"].to_pylist()) == method
        ours &= np.asarray(table["object_hash"].to_pylist()) == key[3]
        table = table.filter(ours & (list_values(table["contact_count"]) == int(contacts)))
        known = footer["hand"]
        model_of_hand = load_hand(hand) if hand else self.hand(known["name"], known["asset_hash"])
        if model_of_hand.name != known["name"]:
            raise ValueError(
                f"{path}: its grasps are of hand {known['name']!r}, not of {model_of_hand.name!r}."
            )
        model = self.object_model(key[3])
        grasps = read_grasps(
            table,
            Columns.from_footer(footer["columns"]),
            metadata=_metadata(footer, table, key, self.object_path(key[3]), model),
        )
        return GraspCase(path, "", grasps, model_of_hand, model)


def _metadata(
    footer: dict[str, Any], table: Any, key: tuple[str, ...], path: Path, model: ObjectModel
) -> dict[str, Any]:
    """Metadata as in the npz file of a run; the object is the asset of the data set."""
    config = footer["configs"].get(table["config_hash"][0].as_py(), {})
    seeds = sorted(set(list_values(table["seed"]).tolist()))
    return {
        "versions": footer["versions"],
        "config": {**json.loads(json.dumps(config)), "grasp_type": key[1]},
        "seed": seeds[0] if len(seeds) == 1 else seeds,
        "hand": footer["hand"],
        "object": {
            "name": key[2],
            "path": str(path),
            "file_hash": model.file_hash,
            "mesh_hash": key[3],
            "scale": 1.0,
            "repairs": [],
        },
        "units": {"length": "m", "angle": "rad", "force": "N", "quaternion": "xyzw"},
        "method": table["method"][0].as_py(),
        "split": table["split"][0].as_py(),
    }
