"""Damaged and valid mesh files: every outcome is an object or one sentence, and a valid encoding has its volume.

By hand, 5,000 cases: ``python tests/fuzz/mesh_fuzz.py 5000 [first seed]`` prints the seed of every case that goes wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from mesh_files import SHAPES, WRITERS, Shape, glb_document, write_glb, write_stl_binary

from warpgrasp.objects import ObjectError, ObjectModel, load_object

__all__ = ["check_damaged", "check_valid"]


def _glb(path: Path, shape: Shape) -> None:
    write_glb(path, *glb_document(shape))


FORMATS = {**WRITERS, "glb": (".glb", _glb), "stl": (".stl", write_stl_binary)}
CONVEX = ("glb", "stl")  # writers that fan their polygons
WORDS = (
    b"-1",
    b"nan",
    b"1e400",
    b"0",
    b"99999999999",
    b"",
    b"-",
    b"\xff\xfe",
    b"{",
    b"\0",
    b"inf",
    b"4294967295",
)


def check_valid(seed: int, folder: Path) -> None:
    """A turned and rescaled shape in a random format has its volume, or is refused with the name of its file."""
    random = np.random.default_rng(seed)
    kind = sorted(FORMATS)[random.integers(len(FORMATS))]
    shape = SHAPES["block" if kind in CONVEX else sorted(SHAPES)[random.integers(len(SHAPES))]]
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    size = float(random.uniform(0.5, 4.0))
    order = random.permutation(len(shape.polygons))
    polygons = [np.roll(shape.polygons[i], random.integers(20)).tolist() for i in order]
    moved = Shape(size * shape.vertices @ turn.T + random.uniform(-0.2, 0.2, 3), polygons, 0.0, 0.0)
    suffix, write = FORMATS[kind]
    path = folder / f"valid{suffix}"
    path.unlink(missing_ok=True)
    write(path, moved)
    model = load_object(path)
    expected = shape.volume * size**3
    assert abs(model.volume - expected) < 1e-4 * expected, (kind, model.volume, expected, model.repairs)
    assert abs(model.extent.max() - np.ptp(moved.vertices, axis=0).max()) < 1e-5 * model.extent.max(), kind


def check_damaged(seed: int, folder: Path) -> bool:
    """A damaged file gives an object of finite numbers or an ObjectError with its name; returns whether it was read."""
    random = np.random.default_rng(seed)
    kind = sorted(FORMATS)[random.integers(len(FORMATS))]
    suffix, write = FORMATS[kind]
    path = folder / f"damaged{suffix}"
    path.unlink(missing_ok=True)
    write(path, SHAPES["block"])
    data = bytearray(path.read_bytes())
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(len(data))) if data else 0
        what = random.integers(5)
        if what == 0 and data:
            data[at % len(data)] = int(random.integers(256))
        elif what == 1:
            del data[at : at + int(random.integers(1, 40))]
        elif what == 2:
            data[at:at] = data[at : at + int(random.integers(1, 60))]
        elif what == 3:
            word = WORDS[random.integers(len(WORDS))]
            data[at : at + len(word)] = word
        else:
            del data[at:]
    path.write_bytes(bytes(data))
    try:
        model = load_object(path)
    except ObjectError as error:
        sentence = str(error)
    else:
        _check_object(model)
        return True
    assert path.name in sentence, sentence
    assert "\n" not in sentence, sentence
    return False


def _check_object(model: ObjectModel) -> None:
    numbers = (model.vertices, model.volume, model.center_of_mass, model.inertia_unit_density, model.extent)
    assert all(np.isfinite(value).all() for value in numbers)
    assert model.volume > 0.0
    assert 0 <= model.faces.min() <= model.faces.max() < len(model.vertices)
    json.dumps(model.repairs)


def main() -> int:
    """Run many cases; the number of those that went wrong."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        for seed in range(first, first + count):
            for check in (check_damaged, check_valid):
                try:
                    check(seed, Path(name))
                except Exception as error:
                    bad += 1
                    sys.stdout.write(f"{check.__name__} seed {seed}: {type(error).__name__}: {error}\n")
    sys.stdout.write(f"{2 * count} cases, {bad} wrong\n")
    return bad


if __name__ == "__main__":
    sys.exit(main() > 0)
