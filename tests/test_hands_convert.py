"""The converter on a small hand written here: what it reads, proposes, draws and prints; its own USD read again."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from robot_files import NO_PICTURE, write_urdf_hand

from warpgrasp.geometry.rotations import quaternion_to_matrix
from warpgrasp.hands import load_hand
from warpgrasp.hands.convert import Conversion, convert_hand
from warpgrasp.hands.convert.__main__ import main
from warpgrasp.hands.export import export_hand


@pytest.fixture(scope="module")
def urdf_conversion(tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    folder = tmp_path_factory.mktemp("my_hand")
    return convert_hand(write_urdf_hand(folder), folder / "out", NO_PICTURE)


def test_urdf_kinematics_and_mass(urdf_conversion: Conversion) -> None:
    hand = urdf_conversion.hand
    assert hand.joint_names == ("index.mcp", "middle.mcp", "ring.mcp", "thumb.turn", "thumb.bend")
    assert hand.link_names[:3] == ("palm_link", "index_1", "index_2")
    np.testing.assert_allclose(hand.link_mass, [0.4] + [0.05, 0.04] * 3 + [0.05, 0.03], rtol=1e-6)
    # pip <= 1.7 = 0.8 mcp + 0.1 leaves mcp its own limit; 0.1 <= ... does not bind below
    np.testing.assert_allclose(hand.dof_upper, [1.6, 1.6, 1.6, 0.9, 1.6], rtol=1e-6)
    position, _ = hand.forward_kinematics(np.zeros(3), (0, 0, 0, 1), [0.5, 0, 0, 0, 0])
    tip = hand.link_index("index_2")
    np.testing.assert_allclose(
        position[tip], [0.047 * math.sin(0.5), 0.022, 0.047 * math.cos(0.5)], atol=1e-7
    )
    assert hand.expand_joint_position([0.5, 0, 0, 0, 0])["index.pip"] == pytest.approx(0.5, abs=1e-7)
    cap = next(frame for frame in hand.frames if frame.name == "index_cap_frame")
    np.testing.assert_allclose(cap.position, [0.0, 0.0, 0.045], atol=1e-9)
    np.testing.assert_allclose(hand.dof_effort, 1.5)


def test_urdf_proposals(urdf_conversion: Conversion) -> None:
    """The hand is drawn so that a person knows the answers: palm +x, fingers +z, thumb +y."""
    hand, annotation = urdf_conversion.hand, urdf_conversion.annotation
    assert set(hand.fingers) == {"palm", "thumb", "index", "middle", "ring"}
    assert set(hand.grasp_types) == {"power", "precision", "pinch"}
    axes = quaternion_to_matrix(hand.wrist_quaternion).T
    for axis, expected in zip(axes, ((0, 1, 0), (0, 0, 1), (1, 0, 0)), strict=True):
        assert float(axis @ expected) > 0.99
    assert hand.wrist_position[0] == pytest.approx(0.0125, abs=1e-3)  # on the palm's surface
    for patch in hand.patches:
        if patch.finger in ("index", "middle", "ring") and patch.region == "middle":
            direction = next(p.direction for p in annotation.patches if p.name == patch.name)
            assert direction[0] > 0.99, patch.name  # pads look out of the palm when the fingers are stretched
    assert set(hand.grasp_types["pinch"].idle_joint_position) == {"middle.mcp", "ring.mcp"}
    names = hand.grasp_types["precision"].patch_names
    assert set(names) == {"thumb_tip", "index_tip", "middle_tip"}
    assert len(hand.self_collision_pairs()) > 0
    for spheres in annotation.spheres.values():
        assert 1 <= len(spheres) <= 8
    assert all(0.0 <= guess.confidence <= 1.0 for guess in urdf_conversion.guesses)


def test_report_and_picture(tmp_path: Path) -> None:
    result = convert_hand(write_urdf_hand(tmp_path), tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    for word in (
        "confidence",
        "opening pose",
        "patch thumb_tip",
        "follows index.mcp: 0.8 x + 0.1",
        "hand.png",
    ):
        assert word in text
    from PIL import Image

    picture = np.asarray(Image.open(tmp_path / "out" / "hand.png").convert("RGB")).astype(int)
    reddish = (picture[..., 0] > 150) & (picture[..., 1] < 110) & (picture[..., 2] < 110)
    assert picture.shape[1] == 3 * 620
    assert reddish.sum() > 300  # the thumb's patches are drawn
    assert result.hand.path == (tmp_path / "out" / "hand.usda").resolve()


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb", ".stl"])
def test_mesh_formats_agree(tmp_path: Path, suffix: str, urdf_conversion: Conversion) -> None:
    hand = convert_hand(write_urdf_hand(tmp_path, suffix=suffix), tmp_path / "out", NO_PICTURE).hand
    for mine, other in zip(hand.geometry_mesh, urdf_conversion.hand.geometry_mesh, strict=True):
        np.testing.assert_allclose(mine.vertices.min(axis=0), other.vertices.min(axis=0), atol=1e-6)
        np.testing.assert_allclose(mine.vertices.max(axis=0), other.vertices.max(axis=0), atol=1e-6)


def test_dae_mesh(tmp_path: Path) -> None:
    pytest.importorskip("collada", reason="reading DAE needs pycollada (extra 'sim')")
    hand = convert_hand(write_urdf_hand(tmp_path, suffix=".dae"), tmp_path / "out", NO_PICTURE).hand
    palm = hand.geometry_mesh[0]
    np.testing.assert_allclose(np.ptp(palm.vertices, axis=0), [0.025, 0.08, 0.09], atol=1e-6)


def test_synthesis_with_a_converted_hand(urdf_conversion: Conversion) -> None:
    from warpgrasp import example_object_names, load_object, synthesize
    from warpgrasp.objects import example_object_path
    from warpgrasp.synthesis.synthesize import SynthesisConfig

    config = SynthesisConfig(grasp_count=2, step_count=5, contact_count=6, device="cpu")
    hand = load_hand(urdf_conversion.hand.path)
    (grasps,) = synthesize(hand, [load_object(example_object_path(example_object_names()[0]))], config)
    assert grasps.joint_position.shape == (2, 5)
    assert np.isfinite(grasps.energy).all()


def test_usd_without_annotation(tmp_path: Path, urdf_conversion: Conversion) -> None:
    """Our own asset stripped of its annotation converts to the same kinematics."""
    from pxr import Sdf

    layer = Sdf.Layer.FindOrOpen(str(export_hand(urdf_conversion.hand.path, tmp_path / "flat", format="usd")))
    plain = Sdf.Layer.CreateNew(str(tmp_path / "plain.usda"))
    plain.TransferContent(layer)
    hand_spec = plain.rootPrims[0]
    del hand_spec.nameChildren["grasp_types"]
    for link in hand_spec.nameChildren:
        if "grasp" in link.nameChildren:
            del link.nameChildren["grasp"]
    plain.Save()
    bare = load_hand(tmp_path / "plain.usda")
    assert bare.grasp_types == {}
    hand = convert_hand(tmp_path / "plain.usda", tmp_path / "out", NO_PICTURE).hand
    assert hand.joint_names == urdf_conversion.hand.joint_names
    assert set(hand.grasp_types) == {"power", "precision", "pinch"}
    for q in np.random.default_rng(2).uniform(hand.dof_lower, hand.dof_upper, size=(20, 5)):
        mine, theirs = (
            h.forward_kinematics(np.zeros(3), (0, 0, 0, 1), q) for h in (hand, urdf_conversion.hand)
        )
        np.testing.assert_allclose(mine[0], theirs[0], atol=1e-7)


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hand.sdf").write_text("<sdf/>")
    with pytest.raises(ValueError, match=r"'hand.sdf' is no known robot description; give a .urdf"):
        convert_hand(tmp_path / "hand.sdf", tmp_path / "out")


def test_command_line(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    command = [sys.executable, "-m", "warpgrasp.hands.convert", str(path), "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, "--no-picture"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "5 joints, fingers index, middle, ring, thumb" in done.stdout
    path.write_text(path.read_text().replace('<mass value="0.4"/>', ""))
    done = subprocess.run([*command, "--no-picture"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "link 'palm-link' has no mass" in done.stderr


def test_command_line_options(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    arguments = [str(path), "--output", str(tmp_path / "out"), "--no-picture", "--name", "claw"]
    assert main([*arguments, "--joint-limits", "thumb.bend", "0", "1"]) == 0
    hand = load_hand(tmp_path / "out" / "hand.usda")
    assert hand.name == "claw"
    assert hand.dof_upper[4] == pytest.approx(1.0)
    assert main([str(tmp_path / "nothing.urdf"), "-o", str(tmp_path)]) == 1
