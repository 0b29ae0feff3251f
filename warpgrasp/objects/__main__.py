"""``python -m warpgrasp.objects MESH... -o DIR``: object assets as USD with physics, and a report.

Each asset is read by ``warpgrasp.generate``, ``warpgrasp.evaluate``, Newton and Isaac Lab and opens in usdview and Omniverse.
``DIR/objects.json`` holds the table. Exit codes: 0 all done, 1 some meshes were refused, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from warpgrasp.base.atomic_file import OutputError, folder_lock, write_text
from warpgrasp.base.command import end_of, run_command
from warpgrasp.base.json_text import json_mapping, json_text
from warpgrasp.base.output_text import print_any_text
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.objects.assets import AssetConfig, AssetReport, asset_names, make_object_asset, mesh_files
from warpgrasp.objects.convex_pieces import ConvexPieceConfig
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.reading import Reading

__all__ = ["ObjectOptions", "main"]

_FILE_WIDTH = 150  # columns where output is not a terminal


@dataclass(frozen=True, kw_only=True)
class ObjectOptions:
    """Turn meshes into object assets: USD with mass, centre of mass, inertia, friction and convex collision pieces."""

    meshes: tyro.conf.Positional[tuple[Path, ...]]
    """Mesh files (OBJ, STL, PLY, GLB, GLTF, OFF, DAE, URDF, USD) or folders of them."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder to write into."""
    density: float | None = None
    """[kg/m^3]; 500 where neither density nor mass is given."""
    mass: float | None = None
    """[kg], of every object, instead of a density."""
    friction: float = 0.6
    """Static and dynamic coefficient."""
    scale: float = 1.0
    """Factor from the file's lengths to metres: 0.001 reads millimetres."""
    target_size: bool = False
    """Rescale so that the smallest extent is at most 8 cm and the largest at least 7 cm (Zurbrügg et al. 2025)."""
    reading: Annotated[Reading, tyro.conf.arg(name="")] = field(default_factory=Reading)
    """How a mesh is read."""
    binary: bool = False
    """Write one .usdc file instead of .usda (text) with its meshes in a .usdc file beside it."""
    pieces: ConvexPieceConfig = field(default_factory=ConvexPieceConfig)
    """Accuracy of the convex pieces."""

    def config(self) -> AssetConfig:
        """How assets are made.

        Raises:
            ValueError: A value out of range.
        """
        return AssetConfig(
            density=self.density,
            mass=self.mass,
            friction=self.friction,
            scale=self.scale,
            target_size=self.target_size,
            reading=self.reading,
            pieces=self.pieces,
            suffix=".usdc" if self.binary else ".usda",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = tyro.cli(ObjectOptions, args=arguments, prog="python -m warpgrasp.objects")
    print_any_text()
    quiet_warp()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)

    def complain(text: str) -> None:
        errors.print(f"error: {text}", style="red", markup=False)

    run = _Run(options, complain)
    try:
        run.all_meshes(console)
    except OutputError as error:
        complain(str(error))
        return 1
    except (ValueError, ImportError) as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt as error:
        word, code = end_of(error)
        complain(f"{word}; {len(run.rows)} finished assets are kept. The same command makes the others.")
        with suppress(OutputError):
            run.write_report()
        return code
    if run.rows:
        _print_table(console, run.rows)
        console.print(escape(f"assets and objects.json  {options.output}"), soft_wrap=True)
    if run.failures:
        complain(f"{len(run.failures)} of {len(run.files)} meshes were refused.")
    return 1 if run.failures else 0


class _Run:
    """One command: its mesh files, and what became of each."""

    def __init__(self, options: ObjectOptions, complain: Callable[[str], None]) -> None:
        self.options = options
        self.complain = complain
        self.files: list[Path] = []
        self.rows: list[AssetReport] = []
        self.failures: dict[str, str] = {}

    def all_meshes(self, console: Console) -> None:
        """Make the assets one after the other, then the report."""
        config, folder = self.options.config(), self.options.output
        self.files = mesh_files(self.options.meshes)
        names = self._claim_names()
        for file, name in _shown(list(zip(self.files, names, strict=True)), console):
            try:
                self._mesh(file, name, config)
            except (OutputError, ImportError):
                raise
            except Exception as error:  # whatever it is, the other meshes finish
                named = isinstance(error, ObjectError)
                self.failures[str(file)] = str(error) if named else f"{file}: {error or type(error).__name__}"
                self.complain(self.failures[str(file)])
        if self.rows or self.failures:
            self.write_report()
        gone = [row.name for row in self.rows if not Path(row.path).is_file()]
        if gone:
            raise OutputError(
                f"{folder} was deleted or changed while the command ran, {len(gone)} of {len(self.rows)} assets are gone; the "
                "same command makes them again."
            )

    def _claim_names(self) -> list[str]:
        """The name of each asset, which from now on no other command takes for another mesh."""
        folder = self.options.output
        with folder_lock(folder):
            content = _known(folder)
            taken = _claims(content) | {row["name"]: row["source"] for row in _known_rows(folder)}
            names = asset_names(self.files, taken)
            own = {name: str(file.resolve()) for name, file in zip(names, self.files, strict=True)}
            content = {"objects": _known_rows(folder), "failures": {}, **content}
            write_text(folder / "objects.json", json_text({**content, "names": _claims(content) | own}))
        return names

    def _mesh(self, file: Path, name: str, config: AssetConfig) -> None:
        """The asset of a mesh file, or of each of its bodies."""
        part = count = 1
        while part <= count:
            row = make_object_asset(file, self.options.output, name=name, config=config, part=part)
            self.rows.append(row)
            part, count = part + 1, row.part_count

    def write_report(self) -> None:
        """``objects.json``: what this command did, and what earlier ones and those beside it did.

        Raises:
            OutputError: It cannot be written.
        """
        folder = self.options.output
        with folder_lock(folder):
            own = {row.name for row in self.rows}
            here = {str(file) for file in self.files}
            others = [
                row for row in _known_rows(folder) if row["name"] not in own and Path(row["path"]).is_file()
            ]
            failures = _known(folder).get("failures")
            failures = {} if not isinstance(failures, dict) else failures
            failures = {name: text for name, text in failures.items() if name not in here}
            rows = sorted([*others, *map(dataclasses.asdict, self.rows)], key=lambda row: str(row["name"]))
            names = _claims(_known(folder))
            content = {"objects": rows, "failures": failures | self.failures, "names": names}
            write_text(folder / "objects.json", json_text(content))


def _known(folder: Path) -> dict[str, Any]:
    """The report that is there; empty where there is none."""
    try:
        return json_mapping((folder / "objects.json").read_bytes())
    except (OSError, ValueError):
        return {}


def _claims(content: dict[str, Any]) -> dict[str, str]:
    """Mesh file of every name that a command has taken, whether or not its asset is there yet."""
    names = content.get("names")
    return {str(key): str(value) for key, value in names.items()} if isinstance(names, dict) else {}


def _known_rows(folder: Path) -> list[dict[str, Any]]:
    rows = _known(folder).get("objects")
    texts = ("name", "source", "path")
    return [
        row
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and all(isinstance(row.get(name), str) for name in texts)
    ]


def _shown(items: Sequence[tuple[Path, str]], console: Console) -> Iterator[tuple[Path, str]]:
    """The items, with a progress bar on a terminal: a decomposition takes up to a minute."""
    if not console.is_terminal:
        yield from items
        return
    with Progress(*Progress.get_default_columns(), console=console, transient=True) as progress:
        task = progress.add_task("", total=len(items))
        for item in items:
            progress.update(task, description=escape(item[1]))
            yield item
            progress.advance(task)


def _print_table(console: Console, rows: Sequence[AssetReport]) -> None:
    """One line per asset, what its columns mean, and what was mended."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("object", overflow="fold")
    # Units stand in a line of their own: the table must fit a terminal of 80 columns.
    for name in (
        "scale", "size\n[mm]", "volume\n[cm3]", "mass\n[g]", "faces", "pieces", "their\nvolume [%]", "mended"
    ):  # fmt: skip
        table.add_column(escape(name), justify="right", no_wrap=True)
    for row in rows:
        size = " x ".join(f"{1000.0 * value:.0f}" for value in row.extent)
        cells = (
            f"{row.scale:.4g}", size, f"{1.0e6 * row.volume:.1f}", f"{1000.0 * row.mass:.1f}", str(row.face_count),
            str(row.piece_count), f"{100.0 * row.piece_volume_ratio:.0f}", "yes" if row.repairs else "-",
        )  # fmt: skip
        table.add_row(escape(row.name), *cells)
    console.print(table)
    lines = [
        "scale: from the file's lengths to metres; size: bounding box along x, y, z; pieces: convex collision pieces; "
        "their volume: of all together, overlaps counted twice, in % of the object's"
    ]
    lines += [f"{row.name}: {' '.join(row.repairs)}" for row in rows if row.repairs]
    for line in lines:
        console.print(escape(line), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
