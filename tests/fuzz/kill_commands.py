"""Commands that are killed at a file operation: the same command, run again, leaves what an undisturbed one leaves.

Every operation on a file below the output folder (opened for writing, made, renamed, removed) is a point at which ``SIGKILL``
may come. By hand, 100 random points over all commands: ``python tests/fuzz/kill_commands.py 100 [seed]``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

__all__ = ["COMMANDS", "check_points"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "open"}


def _generate(folder: Path) -> Callable[[], int]:
    import trimesh
    from generate_shell import FakeSynthesis

    import warpgrasp.generate.__main__ as generate
    import warpgrasp.generate.batch as batch

    batch.synthesize = FakeSynthesis()  # type: ignore[assignment]
    generate.best_tiles = lambda *_, **__: []  # type: ignore[assignment]  # no pictures
    meshes = []
    for name, radius in (("a", 0.03), ("b", 0.025)):
        meshes.append(str(folder / f"{name}.stl"))
        trimesh.creation.icosphere(subdivisions=1, radius=radius).export(meshes[-1])
    options = [
        "--grasps",
        "3",
        "--steps",
        "6",
        "--device",
        "cpu",
        "--hand",
        "robotiq_2f140",
        "--workers",
        "1",
    ]
    return lambda: generate.main([*meshes, *options, "--contacts", "4", "--out", "out"])


def _objects(folder: Path) -> Callable[[], int]:
    import trimesh

    from warpgrasp.objects.__main__ import main

    for name, radius in (("a", 0.03), ("b", 0.025)):
        trimesh.creation.icosphere(subdivisions=1, radius=radius).export(folder / f"{name}.stl")
    return lambda: main([str(folder / "a.stl"), str(folder / "b.stl"), "-o", "out"])


def _evaluate(folder: Path) -> Callable[[], int]:
    import pytest
    from eval_runs import count_engines, robotiq_grasps

    from warpgrasp.evaluate.__main__ import main

    count_engines(pytest.MonkeyPatch())
    for name in ("a", "b"):
        robotiq_grasps(folder / "run", name=name)
    return lambda: main([str(folder / "run"), "--filter", "--out", "out"])


def _convert(folder: Path) -> Callable[[], int]:
    from robot_files import write_mjcf_gripper

    from warpgrasp.hands.convert.__main__ import main

    path = write_mjcf_gripper(folder)
    return lambda: main([str(path), "-o", "out", "--no-picture"])


COMMANDS = {"generate": _generate, "objects": _objects, "evaluate": _evaluate, "hands.convert": _convert}


def _run(command: Callable[[], int], folder: Path, kill_at: int | None) -> tuple[int, int]:
    """Run a command in a child of its own; its exit code, negative for a signal, and the file operations it made."""
    counted = folder / "count"
    counted.unlink(missing_ok=True)
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        count = int(counted.read_text()) if counted.exists() else 0
        return os.waitstatus_to_exitcode(status), count
    os.chdir(folder)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    count = 0
    out = str(folder / "out")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in _EVENTS or (event == "open" and not int(arguments[2] or 0) & _WRITES):
            return
        if not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        if not os.path.abspath(os.fsdecode(arguments[0])).startswith(out):
            return
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    sys.addaudithook(hook)
    code = 99
    try:
        code = command()
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        counted.write_text(str(count))
        os._exit(code)


def _state(folder: Path) -> dict[str, str]:
    """Files of an output folder with their content, as far as it does not hold seconds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            timed = path.name in ("timing.json", "summary.json", "gallery.png") or path.parent.name == "rows"
            found[str(path.relative_to(folder))] = (
                "" if timed else hashlib.sha256(path.read_bytes()).hexdigest()
            )
    return found


def check_points(name: str, count: int, seed: int | None = None) -> list[str]:
    """Kill a command at ``count`` of its file operations, evenly spread or random; what went wrong, one text each."""
    wrong = []
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "scratch")
        (folder / "scratch").mkdir()
        command = COMMANDS[name](folder)
        code, total = _run(command, folder, None)
        clean = _state(folder / "out")
        _run(command, folder, None)
        twice = _state(folder / "out")  # hands.convert keeps the annotation that is there, with its digits
        if code or not clean or total < 4:
            return [f"{name}: exit code {code}, {len(clean)} files, {total} operations"]
        random = np.random.default_rng(seed)
        spread = np.unique(np.linspace(0, total - 1, count).astype(int))
        for point in spread if seed is None else random.integers(0, total, count):
            shutil.rmtree(folder / "out")
            killed, _ = _run(command, folder, int(point))
            for path in (folder / "out").rglob("*.npz"):
                if not path.name.startswith("."):
                    with np.load(path) as file:
                        {column: file[column] for column in file.files}
            again, _ = _run(command, folder, None)
            after = _state(folder / "out")
            left = [str(path) for path in (folder / "scratch").glob(".warpgrasp-*")]
            if killed != -signal.SIGKILL or again or after not in (clean, twice) or left:
                differ = sorted(file for file in {*after, *clean} if after.get(file) != clean.get(file))
                wrong.append(
                    f"{name} at {point} of {total}: exit codes {killed}, {again}; differ {differ}; left {left}"
                )
    return wrong


def main() -> int:
    """Kill points over all commands; the number of those after which something was wrong."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2] != "-" else None
    names = sys.argv[3:] or list(COMMANDS)
    wrong = []
    for name in names:
        wrong += check_points(name, count // len(names), seed)
    sys.stdout.write(json.dumps({"points": count // len(names) * len(names), "wrong": wrong}) + "\n")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main() > 0)
