"""The converter on small robot descriptions written here: what it reads, what it refuses, what it keeps."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from robot_files import write_mjcf_gripper, write_urdf_hand

from warpgrasp.hands import HandModel, load_hand
from warpgrasp.hands.convert import Conversion, ConvertConfig, convert_hand, main
from warpgrasp.hands.export import export_hand
from warpgrasp.hands.rotations import quaternion_to_matrix

NO_PICTURE = ConvertConfig(picture=False)


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
    from warpgrasp.synthesis import SynthesisConfig

    config = SynthesisConfig(grasp_count=2, step_count=5, contact_count=6, device="cpu")
    hand = load_hand(urdf_conversion.hand.path)
    (grasps,) = synthesize(hand, [load_object(example_object_path(example_object_names()[0]))], config)
    assert grasps.joint_position.shape == (2, 5)
    assert np.isfinite(grasps.energy).all()


# rerunning keeps edits


def edited(folder: Path, section: str, change: object) -> None:
    path = folder / "annotation.yaml"
    content = yaml.safe_load(path.read_text())
    content[section] = change if not callable(change) else change(content[section])
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def test_unedited_annotation_round_trips(tmp_path: Path) -> None:
    source = write_urdf_hand(tmp_path)
    first = convert_hand(source, tmp_path / "out", NO_PICTURE).hand
    text = (tmp_path / "out" / "annotation.yaml").read_text()
    again = convert_hand(source, tmp_path / "out", NO_PICTURE)
    assert (tmp_path / "out" / "annotation.yaml").read_text() == text
    assert set(again.kept_sections) == {"wrist", "fingers", "joints", "patches", "spheres", "grasp_types"}
    assert_same_hand(first, again.hand, atol=2e-6)  # the file holds six decimals


def assert_same_hand(a: HandModel, b: HandModel, atol: float) -> None:
    np.testing.assert_allclose(b.dof_opening, a.dof_opening, atol=atol)
    np.testing.assert_allclose(b.sphere_position, a.sphere_position, atol=atol)
    np.testing.assert_allclose(b.wrist_position, a.wrist_position, atol=atol)
    assert [patch.name for patch in b.patches] == [patch.name for patch in a.patches]
    for mine, other in zip(a.patches, b.patches, strict=True):
        assert (mine.finger, mine.region, mine.link) == (other.finger, other.region, other.link)
        assert abs(len(mine.faces) - len(other.faces)) <= 2


def test_edits_are_kept(tmp_path: Path) -> None:
    source, out = write_urdf_hand(tmp_path), tmp_path / "out"
    convert_hand(source, out, NO_PICTURE)

    def joints(section: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        section["thumb.bend"]["opening"] = 0.77
        section["index.mcp"]["stiffness"] = 12.0
        return section

    edited(out, "joints", joints)
    edited(out, "patches", lambda rows: [row for row in rows if row["name"] != "ring_tip"])
    edited(out, "wrist", lambda wrist: wrist | {"position": [0.02, 0.0, -0.03]})
    hand = convert_hand(source, out, NO_PICTURE).hand
    assert hand.dof_opening[hand.joint_names.index("thumb.bend")] == pytest.approx(0.77)
    assert hand.dof_stiffness[0] == pytest.approx(12.0, rel=1e-6)
    assert "ring_tip" not in [patch.name for patch in hand.patches]
    np.testing.assert_allclose(hand.wrist_position, [0.02, 0.0, -0.03], atol=1e-7)
    fresh = convert_hand(source, out, ConvertConfig(picture=False, fresh=True)).hand
    assert "ring_tip" in [patch.name for patch in fresh.patches]


def test_deleted_section_is_proposed_again(tmp_path: Path) -> None:
    source, out = write_urdf_hand(tmp_path), tmp_path / "out"
    convert_hand(source, out, NO_PICTURE)
    path = out / "annotation.yaml"
    content = yaml.safe_load(path.read_text())
    del content["spheres"]
    content["wrist"]["position"] = [0.03, 0.0, 0.0]
    path.write_text(yaml.safe_dump(content))
    result = convert_hand(source, out, NO_PICTURE)
    assert "spheres" not in result.kept_sections
    assert "spheres" in yaml.safe_load(path.read_text())
    np.testing.assert_allclose(result.hand.wrist_position, [0.03, 0.0, 0.0], atol=1e-7)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("patches", lambda rows: [*rows, rows[0]], "two patches have the same name"),
        ("patches", lambda rows: [rows[0] | {"link": "elbow"}], "names link 'elbow'"),
        ("patches", lambda rows: [rows[0] | {"region": "nail"}], "region 'nail'"),
        ("grasp_types", {"power": {"fingers": ["toe"]}}, "grasp type 'power' names finger 'toe'"),
        ("joints", lambda rows: rows | {"knee": rows["thumb.bend"]}, "names joint 'knee'"),
        ("joints", lambda rows: rows | {"thumb.bend": {**rows["thumb.bend"], "opening": 9.0}}, "opens at 9"),
        ("toes", [], "unknown section 'toes'"),
    ],
)
def test_wrong_annotation_is_refused(tmp_path: Path, section: str, change: object, message: str) -> None:
    source, out = write_urdf_hand(tmp_path), tmp_path / "out"
    convert_hand(source, out, NO_PICTURE)
    if section == "toes":
        path = out / "annotation.yaml"
        path.write_text(path.read_text() + "\ntoes: []\n")
    else:
        edited(out, section, change)
    with pytest.raises(ValueError, match=message):
        convert_hand(source, out, NO_PICTURE)


# bad input: one sentence, the link or joint, the remedy

BAD_URDFS = {
    "missing mesh": (
        ('<mesh filename="meshes/phalanx.stl"/>', '<mesh filename="meshes/lost.stl"/>'),
        r"mesh file 'meshes/lost.stl' of link 'index_1' does not exist .*put it there or correct the path",
    ),
    "missing package": (
        ("package://my_hand/meshes/palm.stl", "package://other/meshes/lost.stl"),
        r"mesh file 'package://other/.*' of link 'palm-link' does not exist; put the folder 'other'",
    ),
    "no limits": (
        (
            '<axis xyz="0 -1 0"/><limit lower="0" upper="1.6" effort="1.5" velocity="3"/>',
            '<axis xyz="0 -1 0"/>',
        ),
        r"joint 'thumb.bend' has no limits; .*--joint-limits thumb.bend LOWER UPPER",
    ),
    "zero mass": (
        ('<mass value="0.4"/>', '<mass value="0"/>'),
        r"link 'palm-link' has no mass \(or zero\); .*--density 1000",
    ),
    "no mass": (('<mass value="0.4"/>', ""), r"link 'palm-link' has no mass"),
    "two roots": (
        ("\n</robot>", '<link name="camera"/></robot>'),
        r"two roots, link 'palm-link' and link 'camera'; .*--root palm-link",
    ),
    "loop": (
        (
            "\n</robot>",
            '<joint name="strut" type="fixed"><parent link="index_2"/><child link="middle_2"/></joint></robot>',
        ),
        r"joint 'strut' closes a kinematic loop at link 'middle_2'.*'middle.pip'; remove one of the two",
    ),
    "ring": (
        (
            "\n</robot>",
            '<joint name="hook" type="fixed"><parent link="index_2"/><child link="palm-link"/></joint></robot>',
        ),
        r"link 'palm-link' is its own ancestor: .* kinematic loop; remove",
    ),
    "unsupported joint": (
        ('name="thumb.turn" type="revolute"', 'name="thumb.turn" type="planar"'),
        r"joint 'thumb.turn' is of type 'planar', which is not supported; use revolute",
    ),
    "unknown link": (
        ('<child link="thumb_2"/>', '<child link="thumb_3"/>'),
        r"joint 'thumb.bend' names link 'thumb_3', which does not exist",
    ),
    "mimics nobody": (
        ('joint="ring.mcp"', 'joint="rong.mcp"'),
        r"joint 'ring.pip' mimics joint 'rong.mcp', which is no moving joint",
    ),
    "millimetre mesh": (
        (
            '<mesh filename="meshes/phalanx.stl"/>',
            '<mesh filename="meshes/phalanx.stl" scale="1000 1000 1000"/>',
        ),
        r"mesh phalanx.stl of link 'index_1' is 45 m long: .*millimetres; give --mesh-scale 0.001",
    ),
    "millimetre joints": (
        ('<origin xyz="0 0 0.047"', '<origin xyz="0 0 47"'),
        r"joint 'index.pip' lies 47 m from its parent link 'index_1': .*millimetres; give --scale 0.001",
    ),
    "reversed limits": (
        ('lower="-0.4" upper="0.9"', 'lower="0.9" upper="-0.4"'),
        r"joint 'thumb.turn' has limits \[0.9, -0.4\], which leave no range",
    ),
    "not XML": (("<robot", "robot"), r"is no XML that can be read"),
    "xacro": (
        ("\n</robot>", '<xacro:macro name="x"/></robot>'),
        r"still holds xacro macros; expand it first",
    ),
}


@pytest.mark.parametrize("case", BAD_URDFS)
def test_bad_urdf(tmp_path: Path, case: str) -> None:
    (old, new), message = BAD_URDFS[case]
    path = write_urdf_hand(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "hand.usda").exists()


def test_remedies_work(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    good = path.read_text()
    path.write_text(good.replace("\n</robot>", '<link name="camera"/></robot>'))
    assert (
        convert_hand(path, tmp_path / "a", ConvertConfig(picture=False, root="palm-link")).hand.dof_count == 5
    )
    limit = '<limit lower="0" upper="1.6" effort="1.5" velocity="3"/>'
    path.write_text(good.replace(f'<axis xyz="0 -1 0"/>{limit}', '<axis xyz="0 -1 0"/>'))
    config = ConvertConfig(picture=False, joint_limits={"thumb.bend": (0.0, 1.1)})
    assert convert_hand(path, tmp_path / "b", config).hand.dof_upper[4] == pytest.approx(1.1)
    path.write_text(good.replace('<mass value="0.4"/>', ""))
    hand = convert_hand(path, tmp_path / "c", ConvertConfig(picture=False, density=500.0)).hand
    assert hand.link_mass[0] == pytest.approx(500.0 * 0.025 * 0.08 * 0.09, rel=1e-3)
    path.write_text(good.replace('stl"/>', 'stl" scale="1000 1000 1000"/>'))
    hand = convert_hand(path, tmp_path / "d", ConvertConfig(picture=False, mesh_scale=0.001)).hand
    np.testing.assert_allclose(np.ptp(hand.geometry_mesh[0].vertices, axis=0), [0.025, 0.08, 0.09], atol=1e-6)


def test_command_line(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    command = [sys.executable, "-m", "warpgrasp.hands.convert", str(path), "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, "--no-picture"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "5 joints, fingers palm, index, middle, ring, thumb" in done.stdout
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


# MJCF


def test_mjcf_couplings_and_drives(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    result = convert_hand(write_mjcf_gripper(tmp_path), tmp_path / "out", NO_PICTURE)
    hand = result.hand
    assert hand.joint_names == ("left_slide", "left_twist", "left_tilt")
    values = hand.expand_joint_position([0.03, 0.1, 0.2])
    assert values["right_slide"] == pytest.approx(0.03)
    assert values["right_tilt"] == pytest.approx((0.02 - 0.2) / 2.0)  # left + 2 right = 0.02
    # the coupling narrows the leader: right in +-0.3 leaves left in [-0.58, 0.62], so its own +-0.3 stays
    np.testing.assert_allclose(hand.dof_lower, [0.0, -0.2, -0.3], atol=1e-7)
    assert hand.dof_stiffness[[0, 2]] == pytest.approx([300.0, 2.0])
    assert hand.dof_damping[0] == pytest.approx(5.5)  # the drive's and the joint's own
    assert hand.dof_effort[[0, 2]] == pytest.approx([30.0, 0.4])
    assert hand.dof_friction[2] == pytest.approx(0.02)
    assert any("2 joints" in note for note in result.notes)
    assert set(hand.fingers) == {"left", "right", "palm"}
    assert abs(float(quaternion_to_matrix(hand.wrist_quaternion)[2, 2])) > 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("finger.stl", "lost.stl"), "cannot compile .*lost.stl"),
        ((' range="-0.2 0.2"', ""), "joint 'left_twist' has no limits"),
        (
            ("<equality>", '<equality><connect body1="left_pad" body2="right_pad" anchor="0 0 0"/>'),
            "at 'left_pad' closes a kinematic loop",
        ),
        (
            ("\n  </worldbody>", '<body name="arm"><body name="hand2"><joint range="0 1"/><geom size="0.01"/></body>'
             '<geom size="0.01"/></body></worldbody>'),
            "two roots, link 'base' and link 'arm'",
        ),
        (("axis=\"0 0 1\" range", 'axis="0 0 1" ref="0.1" range'), "joint 'left_twist' has ref = 0.1"),
    ],
)  # fmt: skip
def test_bad_mjcf(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = write_mjcf_gripper(tmp_path)
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(ValueError, match=message) as caught:
        convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert "\n" not in str(caught.value)


def test_ball_joint_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = tmp_path / "ball.xml"
    finger = (
        '<body name="finger" pos="0 0 0.05"><joint name="knuckle" type="ball"/><geom size="0.01"/></body>'
    )
    path.write_text(
        f'<mujoco><worldbody><body name="palm"><geom size="0.03"/>{finger}</body></worldbody></mujoco>'
    )
    with pytest.raises(ValueError, match="joint 'knuckle' is a ball joint, which is not supported; split it"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)


def test_tendon_drive_couples_in_proportion(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = write_mjcf_gripper(tmp_path, coupling='<joint joint1="right_slide" joint2="left_slide"/>')
    text = path.read_text().replace('name="tilt" joint="left_tilt"', 'name="tilt" tendon="tilts"')
    path.write_text(text)
    hand = convert_hand(path, tmp_path / "out", NO_PICTURE).hand
    values = hand.expand_joint_position([0.0, 0.0, 0.1])
    assert values["right_tilt"] == pytest.approx(0.2)
    assert any("one tendon" in note for note in convert_hand(path, tmp_path / "out", NO_PICTURE).notes)


# USD


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
