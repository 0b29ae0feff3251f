"""Damaged USD, hands, annotations, robot descriptions, grasp files, results: a value, or one sentence with the file's name.

Hypothesis draws the damage: words of the file replaced by nasty ones, bytes changed, cut and repeated, columns and metadata
exchanged. By hand, 5,000 cases of every kind: ``python tests/fuzz/input_fuzz.py 5000 [first seed]`` prints what goes wrong.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from grasp_factory import make_grasp_set
from hand_prims import FINGER, HINGE, NEWTON_MIMIC, PALM, second_finger, write
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from robot_files import NO_PICTURE, write_boxes

from warpgrasp.base.npz import npz_bytes
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.usd import read_grasp_usd
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.hands.convert.annotation_file import read_annotation_file
from warpgrasp.hands.convert.make_hand import read_source
from warpgrasp.objects import load_object

__all__ = ["KINDS", "run_cases"]

WORDS = (
    "nan", "inf", "-inf", "1e400", "-1", "0", "1e-300", "99999999999", "4294967295", "''", "[]", "{}", "null", "true",
    "\0", "ü",
    "</a/b>", "@./missing.usda@", "@./base.usda@", "[1, 2", "None", "&a [*a]", '"x"', "(1, 2)", "def", "0.5", "1e30",
)  # fmt: skip
TOKEN = re.compile(rb"[A-Za-z_:]+|-?[0-9][0-9.e+-]*|[^\sA-Za-z0-9]")

TEXT_DAMAGE = st.lists(
    st.tuples(st.integers(0, 5), st.floats(0.0, 1.0), st.integers(0, 10**6)), min_size=1, max_size=4
)
BYTE_DAMAGE = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0.0, 1.0), st.integers(0, 10**6)), min_size=1, max_size=4
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def damaged_text(text: str, damage: list[tuple[int, float, int]]) -> bytes:
    """A text with words exchanged, dropped, repeated or replaced by nasty ones."""
    data = text.encode()
    for kind, where, number in damage:
        tokens = [match.span() for match in TOKEN.finditer(data)]
        if not tokens:
            break
        start, end = tokens[min(int(where * len(tokens)), len(tokens) - 1)]
        other = data[slice(*tokens[number % len(tokens)])]
        new = (WORDS[number % len(WORDS)].encode(), b"", data[start:end] * 2, other, data[start:end], b"")[
            kind
        ]
        data = data[:start] + new + (b"" if kind == 5 and number % 7 == 0 else data[end:])
    return data


def damaged_bytes(data: bytes, damage: list[tuple[int, float, int]]) -> bytes:
    """Bytes changed, cut, repeated or the end dropped."""
    for kind, where, number in damage:
        at = int(where * len(data))
        data = (
            data[:at] + bytes([number % 256]) + data[at + 1 :],
            data[:at] + data[at + number % 40 :],
            data[:at] + data[at : at + number % 60] + data[at:],
            data[:at],
        )[kind]
    return data


def _damaged(text: str, damage: list[tuple[int, float, int]], raw: bool) -> bytes:
    if raw:
        return damaged_bytes(text.encode(), [(kind % 4, where, number) for kind, where, number in damage])
    return damaged_text(text, damage)


USD_OBJECT = """#usda 1.0
(
    defaultPrim = "o"
    metersPerUnit = 1
    upAxis = "Z"
)
def Xform "o" (
    prepend references = @./base.usda@</b>
    variants = { string size = "large" }
    prepend variantSets = "size"
)
{
    double3 xformOp:translate = (0.01, 0, 0)
    float3 xformOp:scale = (1, 1, 1)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:scale"]
    variantSet "size" = {
        "large" {
            over "body"
            {
                float3 xformOp:scale = (2, 2, 2)
                uniform token[] xformOpOrder = ["xformOp:scale"]
            }
        }
        "small" {
        }
    }
    def PointInstancer "many"
    {
        point3f[] positions = [(0, 0, 0.0), (0, 0, 0.02)]
        int[] protoIndices = [0, 0]
        rel prototypes = [</o/many/cube>]
        def Cube "cube"
        {
            double size = 0.03
        }
    }
}
"""
USD_BASE = """#usda 1.0
(
    defaultPrim = "b"
    metersPerUnit = 1
)
def Xform "b"
{
    def Mesh "body"
    {
    point3f[] points = [(0,0,0), (0.03,0,0), (0,0.03,0), (0,0,0.03)]
    int[] faceVertexCounts = [3, 3, 3, 3]
    int[] faceVertexIndices = [0, 2, 1, 0, 1, 3, 1, 2, 3, 0, 3, 2]
    }
}
"""
ANNOTATION = """wrist:
  position: [9.9e-05, 0.0, 0.085]
  finger_direction: [0.0, -1.0, 0.0]
  palm_normal: [0.0, 0.0, 1.0]
fingers:
  moving: [jaw]
  palm: [base]
joints:
  slide: {opening: 0.06, effort: 40.0, velocity: 0.1, stiffness: 4000.0, damping: 8.8, armature: 0.2, friction: 0.0}
patches:
- name: palm
  link: base
  region: palm
  direction: [0.0, 0.0, 1.0]
  angle_deg: 40.0
  finger: palm
  lower: [-0.01, -0.002, 0.05]
  upper: [0.01, 0.002, 0.1]
spheres:
  base:
  - [-1.0e-05, 0.0277, 0.03001, 0.03101]
"""


def _sentence(path: Path, read: Callable[[], Any]) -> Any:
    """What a file holds, or None where it is refused: by a ValueError in one line that names the file."""
    try:
        return read()
    except ValueError as error:
        text = str(error)
    assert path.name in text, text
    assert "\n" not in text.strip(), text
    return None


def _finite(model: HandModel) -> None:
    for name, value in vars(model).items():
        if isinstance(value, np.ndarray) and name != "dof_velocity":
            assert np.isfinite(value).all(), name


def check_usd_object(folder: Path, damage: list[tuple[int, float, int]], base: bool) -> None:
    """Composition of two layers."""
    texts = {"object.usda": USD_OBJECT, "base.usda": USD_BASE}
    for name, text in texts.items():
        hit = (name == "base.usda") == base
        (folder / name).write_bytes(damaged_text(text, damage) if hit else text.encode())
    path = folder / "object.usda"
    model = _sentence(path, lambda: load_object(path))
    if model is None:
        return
    assert np.isfinite(model.vertices).all()
    assert np.isfinite([model.volume, *model.center_of_mass, *model.extent]).all()
    assert model.volume > 0.0


def check_hand(folder: Path, damage: list[tuple[int, float, int]], base: bool) -> None:
    """A palm and two fingers, one of which follows the other; ``base`` damages bytes instead of words."""
    path = write(folder, PALM, FINGER, HINGE, *second_finger(NEWTON_MIMIC))
    text = path.read_text()
    path.write_bytes(_damaged(text, damage, base))
    hand = _sentence(path, lambda: load_hand(path))
    if hand is not None:
        _finite(hand)


def check_annotation(folder: Path, damage: list[tuple[int, float, int]], base: bool) -> None:
    """Sections of an annotation."""
    path = folder / "annotation.yaml"
    path.write_bytes(_damaged(ANNOTATION, damage, base))
    _sentence(path, lambda: read_annotation_file(path))


def check_urdf(folder: Path, damage: list[tuple[int, float, int]], base: bool) -> None:
    """Links and joints of a robot description, as far as they are read."""
    body = (
        '<link name="palm"><inertial><mass value="0.3"/><inertia ixx="1e-4" ixy="0" ixz="0" iyy="1e-4" iyz="0" izz="1e-4"/>'
        '</inertial><collision><geometry><box size="0.05 0.02 0.06"/></geometry></collision></link>'
        '<link name="tip"><collision><geometry><cylinder radius="0.01" length="0.04"/></geometry></collision></link>'
        '<joint name="bend" type="revolute"><parent link="palm"/><child link="tip"/><origin xyz="0 0 0.05" rpy="0 0.1 0"/>'
        '<axis xyz="0 1 0"/><limit lower="0" upper="1.5" effort="1" velocity="2"/></joint>'
    )
    path = write_boxes(folder, body)
    text = path.read_text()
    path.write_bytes(_damaged(text, damage, base))
    _sentence(path, lambda: read_source(path, NO_PICTURE))


def _columns(kind: str) -> dict[str, Any]:
    if kind == "grasps":
        grasps = make_grasp_set(count=3)
        columns = {name: getattr(grasps, name) for name in vars(grasps) if name != "metadata"}
        columns["joint_names"] = np.array(grasps.joint_names)
        columns["energy_term_names"] = np.array(grasps.energy_term_names)
        return {**columns, "metadata": np.asarray(json.dumps(grasps.metadata))}
    verdict = Verdict.invalid(3, 2)
    texts = (
        "key",
        "settings_hash",
        "grasp_path",
        "grasp_file_hash",
        "object",
        "hand",
        "grasp_type",
        "engine",
        "squeeze",
    )
    metadata = {**dict.fromkeys(texts, "x"), "joint_lower": [0.0], "joint_upper": [1.0]}
    columns = {name: value[:, None] for name, value in vars(verdict).items()}
    return {
        "force": np.array([5.0]),
        **columns,
        "penetration_depth": np.zeros(3),
        "metadata": np.asarray(json.dumps(metadata)),
    }


def check_columns(
    folder: Path, kind: str, which: int, value: Any, how: int, damage: list[tuple[int, float, int]]
) -> None:
    """A grasp file or result with one column exchanged, or with damaged bytes."""
    path = folder / f"{kind}.npz"
    columns = _columns(kind)
    name = sorted(columns)[which % len(columns)]
    if how == 1:
        del columns[name]
    elif how == 2:
        metadata = json.loads(str(columns["metadata"]))
        key = (*metadata, "object", "hand", "config", "schema_version")[which % (len(metadata) + 4)]
        columns["metadata"] = np.asarray(json.dumps({**metadata, key: value}))
    elif how == 3:
        columns["metadata"] = np.asarray(json.dumps(value))
    elif how == 4:
        column = np.array(columns[name])
        if column.dtype.kind == "f" and column.size:
            column.flat[which % column.size] = (np.nan, np.inf, -1e30)[which % 3]
        elif column.dtype.kind in "iu" and column.size:
            column.flat[which % column.size] = (-1, 99, 2**31 - 1)[which % 3]
        columns[name] = column
    elif how == 5:
        columns[name] = (np.zeros((0,)), np.zeros((3, 1, 1)), np.array("x"), np.array([True]), np.array(1j))[
            which % 5
        ]
    data = npz_bytes(columns, compress=bool(which % 2))
    path.write_bytes(damaged_bytes(data, damage) if how == 0 else data)
    load = GraspSet.load if kind == "grasps" else CaseResult.load
    found = _sentence(path, lambda: load(path))
    if isinstance(found, GraspSet):
        assert found.finite()[found.status == 0].all()
        assert np.isin(found.status, range(9)).all()
    elif found is not None:
        assert np.isin(found.columns["reason"], [int(reason) for reason in FailureReason]).all()


def _attribute(name: str, value: str) -> str:
    kind, _, rest = name.partition(" ")
    return f"custom {kind} warpgrasp:{rest} = {value}"


def check_grasp_stage(folder: Path, damage: list[tuple[int, float, int]], base: bool) -> None:
    """The attributes of a stage of grasps."""
    values = {"string[] jointNames": '["a"]', "string[] energyTermNames": '["e"]', "int contactCount": "1"}
    lines = [_attribute(name, value) for name, value in values.items()]
    lines.append('def Xform "grasp_0000"\n{')
    values = {"int[] contactIndex": "[0]", "float energy": "1", "int status": "0"}
    for prefix in ("root", "pregraspRoot", "squeezeRoot"):
        values |= {f"point3f {prefix}Position": "(0, 0, 0)", f"quatf {prefix}Quaternion": "(1, 0, 0, 0)"}
    joints = (
        "jointPosition",
        "pregraspJointPosition",
        "squeezeJointPosition",
        "squeezeTorque",
        "energyTerms",
    )
    values |= {f"float[] {name}": "[0.1]" for name in joints}
    for name, kind in (("Position", "point3f"), ("Normal", "normal3f"), ("Force", "vector3f")):
        values[f"{kind}[] contact{name}"] = "[(0, 0, 1)]"
    lines += [_attribute(name, value) for name, value in values.items()]
    head = "#usda 1.0\n(customLayerData = { string warpgrasp = '{\"schema_version\": 1}' })\n"
    text = head + 'def Xform "World"\n{\ndef Scope "Grasps"\n{\n' + "\n".join(lines) + "\n}\n}\n}\n"
    path = folder / "grasps.usda"
    path.write_bytes(_damaged(text, damage, base))
    grasps = _sentence(path, lambda: read_grasp_usd(path))
    assert grasps is None or grasps.finite()[grasps.status == 0].all()


PLAIN = {
    "usd object": check_usd_object,
    "hand": check_hand,
    "annotation": check_annotation,
    "urdf": check_urdf,
    "grasp stage": check_grasp_stage,
}
KINDS = (*PLAIN, "grasps", "results")


def run_cases(kind: str, count: int, folder: Path, first_seed: int | None = None) -> None:
    """Check many cases of a kind; the same ones every time without a seed.

    Raises:
        AssertionError: Or whatever else a reader raises: Hypothesis shows the smallest case.
    """
    options = settings(
        max_examples=count,
        deadline=timedelta(seconds=10),
        database=None,
        derandomize=first_seed is None,
        suppress_health_check=list(HealthCheck),
    )
    if kind in PLAIN:

        @options
        @given(damage=TEXT_DAMAGE, base=st.booleans())
        def check(damage: list[tuple[int, float, int]], base: bool) -> None:
            PLAIN[kind](folder, damage, base)

    else:

        @options
        @given(which=st.integers(0, 300), value=JSON, how=st.integers(0, 5), damage=BYTE_DAMAGE)
        def check(which: int, value: Any, how: int, damage: list[tuple[int, float, int]]) -> None:
            check_columns(folder, kind, which, value, how, damage)

    (check if first_seed is None else seed(first_seed)(check))()


def main() -> int:
    """Run many cases of every kind; the number of kinds that went wrong."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    bad = 0
    for kind in KINDS if len(sys.argv) < 4 else sys.argv[3:]:
        with tempfile.TemporaryDirectory() as name:
            try:
                run_cases(kind, count, Path(name), first)
            except Exception as error:
                bad += 1
                sys.stdout.write(
                    f"{kind}, seed {first}: {type(error).__name__}: {error}\n{getattr(error, '__notes__', '')}\n"
                )
            else:
                sys.stdout.write(f"{kind}: {count} cases\n")
            sys.stdout.flush()
    return bad


if __name__ == "__main__":
    sys.exit(main() > 0)
