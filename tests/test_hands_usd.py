"""The USD reader on small assets written here: units, xform stacks, directions, couplings and clear refusals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.hands import GeometryType, HandModel, JointType, load_hand
from warpgrasp.hands.rotations import (
    axis_angle_to_quaternion,
    matrix_to_quaternion,
    multiply_quaternions,
    quaternion_between,
    quaternion_from_wxyz,
    quaternion_to_matrix,
    quaternion_to_wxyz,
    rotate,
    rpy_to_quaternion,
)
from warpgrasp.hands.shapes import box_shape, capsule_shape, combine_mass, convex_shape

ZERO = np.zeros(3)
IDENTITY = (0.0, 0.0, 0.0, 1.0)

HEADER = """#usda 1.0
(
    defaultPrim = "hand"
    metersPerUnit = {meters}
    kilogramsPerUnit = 1
    upAxis = "{up}"
)
"""

PALM = """
def Xform "palm" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
{
    float physics:mass = 0.5
    def Cube "body" (prepend apiSchemas = ["PhysicsCollisionAPI"])
    {
        double size = 2
        float3 xformOp:scale = (0.01, 0.02, 0.03)
        uniform token[] xformOpOrder = ["xformOp:scale"]
    }
}
"""

FINGER = """
def Xform "finger" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
{
    float physics:mass = 0.1
    double3 xformOp:translate = (0, 0, 0.05)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Capsule "body" (prepend apiSchemas = ["PhysicsCollisionAPI"])
    {
        uniform token axis = "X"
        double height = 0.04
        double radius = 0.01
    }
}
"""

HINGE = """
def PhysicsRevoluteJoint "hinge" (prepend apiSchemas = ["PhysicsDriveAPI:angular"])
{
    uniform token physics:axis = "Y"
    rel physics:body0 = </hand/palm>
    rel physics:body1 = </hand/finger>
    point3f physics:localPos0 = (0, 0, 0.03)
    quatf physics:localRot0 = (0.9238795, 0.3826834, 0, 0)
    point3f physics:localPos1 = (0, 0, -0.02)
    quatf physics:localRot1 = (1, 0, 0, 0)
    float physics:lowerLimit = -30
    float physics:upperLimit = 90
    float drive:angular:physics:stiffness = 2
    float drive:angular:physics:damping = 0.5
    float drive:angular:physics:maxForce = 1.5
}
"""


def write(folder: Path, *prims: str, meters: float = 1.0, up: str = "Z", around: str = "") -> Path:
    """One asset with the given prims under /hand."""
    path = folder / "hand.usda"
    body = HEADER.format(meters=meters, up=up) + 'def Xform "hand"\n{\n' + around + "\n".join(prims) + "\n}\n"
    path.write_text(body)
    return path


def load(folder: Path, *prims: str, meters: float = 1.0, up: str = "Z", around: str = "") -> HandModel:
    return load_hand(write(folder, *prims, meters=meters, up=up, around=around))


def test_plain_hand(tmp_path: Path) -> None:
    hand = load(tmp_path, PALM, FINGER, HINGE)
    assert hand.link_names == ("palm", "finger")
    assert hand.link_paths == ("/hand/palm", "/hand/finger")
    assert hand.joint_names == ("hinge",)
    assert hand.joint_type.tolist() == [JointType.FIXED, JointType.REVOLUTE]
    np.testing.assert_allclose([hand.dof_lower[0], hand.dof_upper[0]], [-math.pi / 6, math.pi / 2], rtol=1e-6)
    assert hand.dof_stiffness[0] == pytest.approx(2.0 * 180.0 / math.pi, rel=1e-6)
    assert hand.dof_damping[0] == pytest.approx(0.5 * 180.0 / math.pi, rel=1e-6)
    assert hand.dof_effort[0] == pytest.approx(1.5)
    assert hand.geometry_type.tolist() == [GeometryType.BOX, GeometryType.CAPSULE]
    np.testing.assert_allclose(hand.geometry_size, [[0.01, 0.02, 0.03], [0.01, 0.02, 0.0]], atol=1e-9)
    along = rotate(hand.geometry_quaternion[1], (0.0, 0.0, 1.0))
    np.testing.assert_allclose(np.abs(along), [1.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(hand.link_inertia[0], 0.5 / 3.0 * np.diag([13e-4, 10e-4, 5e-4]), rtol=1e-6)
    assert hand.dof_opening.tolist() == [0.0]
    assert hand.grasp_types == {}


def test_frames_on_both_sides(tmp_path: Path) -> None:
    """X = A Motion inverse(B), written out by hand."""
    hand = load(tmp_path, PALM, FINGER, HINGE)
    position, quaternion = hand.forward_kinematics(ZERO, IDENTITY, [0.4])
    frame = axis_angle_to_quaternion((1.0, 0.0, 0.0), math.pi / 4)
    turn = multiply_quaternions(frame, axis_angle_to_quaternion((0.0, 1.0, 0.0), 0.4))
    np.testing.assert_allclose(quaternion[1], turn, atol=1e-7)
    np.testing.assert_allclose(
        position[1], np.array([0.0, 0.0, 0.03]) + rotate(turn, (0.0, 0.0, 0.02)), atol=1e-8
    )


def test_child_first_joint_is_turned_round(tmp_path: Path) -> None:
    """body0 and body1 may be swapped: the joint value then counts the other way, as USD says."""
    forward = load(tmp_path, PALM, FINGER, HINGE)
    swapped = HINGE.replace("body0", "body_").replace("body1", "body0").replace("body_", "body1")
    for kind in ("localPos", "localRot"):
        swapped = (
            swapped.replace(f"{kind}0", f"{kind}_")
            .replace(f"{kind}1", f"{kind}0")
            .replace(f"{kind}_", f"{kind}1")
        )
    palm = PALM.replace('"PhysicsRigidBodyAPI"', '"PhysicsRigidBodyAPI", "PhysicsArticulationRootAPI"')
    backward = load(tmp_path, palm, FINGER, swapped)
    assert backward.link_names == forward.link_names
    expected = forward.forward_kinematics(ZERO, IDENTITY, [-0.3])
    for got, wanted in zip(backward.forward_kinematics(ZERO, IDENTITY, [0.3]), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-9)


def in_centimetres(text: str) -> str:
    """The same prims with every length times a hundred."""
    pairs = {
        "(0.01, 0.02, 0.03)": "(1, 2, 3)",
        "(0, 0, 0.05)": "(0, 0, 5)",
        "(0, 0, 0.03)": "(0, 0, 3)",
        "(0, 0, -0.02)": "(0, 0, -2)",
        "height = 0.04": "height = 4",
        "radius = 0.01": "radius = 1",
        "stiffness = 2": "stiffness = 20000",
        "damping = 0.5": "damping = 5000",
        "maxForce = 1.5": "maxForce = 15000",
    }
    for metres, centimetres in pairs.items():
        text = text.replace(metres, centimetres)
    return text


SAME_FIELDS = (
    "joint_parent_position",
    "joint_child_position",
    "geometry_size",
    "geometry_position",
    "link_center_of_mass",
    "link_inertia",
    "link_mass",
    "dof_stiffness",
    "dof_damping",
    "dof_effort",
)


@pytest.mark.parametrize("up", ["Y", "Z"])
def test_units_and_up_axis(tmp_path: Path, up: str) -> None:
    metres = load(tmp_path, PALM, FINGER, HINGE)
    other = tmp_path / "other"
    other.mkdir()
    centimetres = load(other, *(in_centimetres(prim) for prim in (PALM, FINGER, HINGE)), meters=0.01, up=up)
    for name in SAME_FIELDS:
        np.testing.assert_allclose(
            getattr(centimetres, name), getattr(metres, name), rtol=1e-5, atol=1e-9, err_msg=name
        )


def test_xform_stack_above_the_hand(tmp_path: Path) -> None:
    """A rotated, moved and uniformly scaled ancestor: the scale counts, the pose does not."""
    plain = load(tmp_path, PALM, FINGER, HINGE)
    other = tmp_path / "other"
    other.mkdir()
    around = """
    double3 xformOp:translate = (1, 2, 3)
    quatd xformOp:orient = (0.5, 0.5, -0.5, 0.5)
    float3 xformOp:scale = (2, 2, 2)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:orient", "xformOp:scale"]
    """
    scaled = load(other, PALM, FINGER, HINGE, around=around)
    np.testing.assert_allclose(scaled.geometry_size, 2.0 * plain.geometry_size, atol=1e-8)
    np.testing.assert_allclose(scaled.joint_parent_position, 2.0 * plain.joint_parent_position, atol=1e-8)
    np.testing.assert_allclose(scaled.joint_parent_quaternion, plain.joint_parent_quaternion, atol=1e-7)


def test_joint_may_target_a_frame_inside_a_body(tmp_path: Path) -> None:
    mount = """
    def Xform "mount"
    {
        double3 xformOp:translate = (0, 0, 0.03)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }
}
"""
    palm = PALM.rstrip().removesuffix("}") + mount
    hinge = HINGE.replace("</hand/palm>", "</hand/palm/mount>").replace("(0, 0, 0.03)", "(0, 0, 0)")
    hand = load(tmp_path, palm, FINGER, hinge)
    np.testing.assert_allclose(hand.joint_parent_position[1], [0.0, 0.0, 0.03], atol=1e-9)


def test_fixed_and_prismatic_joints(tmp_path: Path) -> None:
    slide = HINGE.replace("PhysicsRevoluteJoint", "PhysicsPrismaticJoint").replace("angular", "linear")
    slide = slide.replace("-30", "-0.01").replace("90", "0.02")
    hand = load(tmp_path, PALM, FINGER, slide)
    assert hand.joint_type[1] == JointType.PRISMATIC
    np.testing.assert_allclose([hand.dof_lower[0], hand.dof_upper[0]], [-0.01, 0.02], rtol=1e-6)
    closed, _ = hand.forward_kinematics(ZERO, IDENTITY, [0.0])
    opened, _ = hand.forward_kinematics(ZERO, IDENTITY, [0.01])
    np.testing.assert_allclose(np.linalg.norm(opened[1] - closed[1]), 0.01, rtol=1e-6)
    fixed = load(tmp_path, PALM, FINGER, HINGE.replace("PhysicsRevoluteJoint", "PhysicsFixedJoint"))
    assert fixed.dof_count == 0
    assert fixed.joint_dof.tolist() == [-1, -1]
    fixed.forward_kinematics(ZERO, IDENTITY, [])


def second_finger(coupling: str) -> tuple[str, str]:
    """A second finger whose hinge carries the given coupling."""
    finger = FINGER.replace('"finger"', '"second"')
    hinge = HINGE.replace('"hinge"', '"follower"').replace("/hand/finger", "/hand/second")
    schema, _, text = coupling.partition("\n")
    hinge = hinge.replace('"PhysicsDriveAPI:angular"', f'"{schema}"').rstrip().removesuffix("}")
    return finger, f"{hinge}{text}\n}}"


NEWTON_MIMIC = """NewtonMimicAPI
rel newton:mimicJoint = </hand/hinge>
float newton:mimicCoef0 = 10
float newton:mimicCoef1 = -0.5"""
PHYSX_MIMIC = """PhysxMimicJointAPI:rotY
rel physxMimicJoint:rotY:referenceJoint = </hand/hinge>
float physxMimicJoint:rotY:offset = -10
float physxMimicJoint:rotY:gearing = 0.5"""


@pytest.mark.parametrize("coupling", [NEWTON_MIMIC, PHYSX_MIMIC], ids=["newton", "physx"])
def test_mimic_with_offset(tmp_path: Path, coupling: str) -> None:
    hand = load(tmp_path, PALM, FINGER, HINGE, *second_finger(coupling))
    assert hand.joint_names == ("hinge",)
    value = hand.expand_joint_position([0.2])
    assert value["follower"] == pytest.approx(-0.1 + math.radians(10.0), abs=1e-7)
    # the follower's own limits, -30..90 degrees, leave the leader -160..80 degrees: its upper limit shrinks
    assert hand.dof_lower[0] == pytest.approx(math.radians(-30.0), abs=1e-6)
    assert hand.dof_upper[0] == pytest.approx(math.radians(80.0), abs=1e-6)


def test_hash_follows_references(tmp_path: Path) -> None:
    part = tmp_path / "part.usda"
    part.write_text('#usda 1.0\n(\n    defaultPrim = "part"\n)\ndef Xform "part"\n{\n}\n')
    reference = 'def Xform "extra" (prepend references = @./part.usda@)\n{\n}\n'
    path = write(tmp_path, PALM, FINGER, HINGE, reference)
    from warpgrasp.hands.usd import read_hand

    before = read_hand(path).asset_hash
    assert read_hand(path).asset_hash == before
    part.write_text(part.read_text() + "# changed\n")
    assert read_hand(path).asset_hash != before


NESTED = PALM.rstrip().removesuffix("}") + FINGER + "}"
CYCLE = (
    FINGER.replace('"finger"', '"second"'),
    HINGE.replace('"hinge"', '"hinge_b"').replace("/hand/finger", "/hand/second"),
    HINGE.replace('"hinge"', '"hinge_c"').replace("/hand/palm", "/hand/second"),
)
BAD = {
    "no limits": (
        (PALM, FINGER, HINGE.replace("float physics:lowerLimit = -30", "")),
        r"/hand/hinge has no limits.*author physics:lowerLimit",
    ),
    "limits swapped": (
        (PALM, FINGER, HINGE.replace("-30", "120")),
        r"/hand/hinge has lower limit 120 above.*90",
    ),
    "loop": ((PALM, FINGER, HINGE, *CYCLE), r"/hand/hinge.* closes a loop at .*NewtonMimicAPI"),
    "two roots": ((PALM, FINGER), r"two roots, /hand/palm and /hand/finger.*fixed joint"),
    "zero mass": (
        (PALM.replace("0.5", "0"), FINGER, HINGE),
        r"/hand/palm has no mass \(got 0 kg\); author physics:mass",
    ),
    "spherical joint": (
        (PALM, FINGER, HINGE.replace("PhysicsRevoluteJoint", "PhysicsSphericalJoint")),
        r"/hand/hinge is a PhysicsSphericalJoint, which is not supported; use revolute",
    ),
    "nested": (
        (NESTED, HINGE.replace("/hand/finger", "/hand/palm/finger")),
        r"/hand/palm/finger is nested in.*siblings",
    ),
    "no bodies": (('def Xform "palm"\n{\n}',), r"no prim with PhysicsRigidBodyAPI"),
    "missing target": (
        (PALM, FINGER, HINGE.replace("/hand/finger", "/hand/thumb")),
        r"/hand/hinge targets /hand/thumb, which does not exist",
    ),
    "world hinge": (
        (PALM, FINGER, HINGE.replace("rel physics:body0 = </hand/palm>", "")),
        r"/hand/hinge moves /hand/finger against the world",
    ),
    "concave mesh": (
        (
            PALM.replace('def Cube "body"', 'def Mesh "body"').replace("double size = 2", ""),
            FINGER,
            HINGE,
        ),
        r"/hand/palm/body has approximation 'none'; split it into convex pieces",
    ),
    "cylinder": (
        (PALM, FINGER.replace("def Capsule", "def Cylinder"), HINGE),
        r"/hand/finger/body is a Cylinder, which is not supported; use Capsule",
    ),
    "scaled capsule": (
        (
            PALM,
            FINGER.replace(
                "double radius = 0.01",
                "double radius = 0.01\nfloat3 xformOp:scale = (1, 2, 1)\n"
                'uniform token[] xformOpOrder = ["xformOp:scale"]',
            ),
            HINGE,
        ),
        r"/hand/finger/body is a Capsule under the non-uniform scale",
    ),
    "mimic of nothing": (
        (PALM, FINGER, HINGE, *second_finger(NEWTON_MIMIC.replace("/hand/hinge", "/hand/nothing"))),
        r"/hand/follower mimics /hand/nothing, which is no moving joint",
    ),
    "opening outside": (
        (
            PALM,
            FINGER,
            HINGE.replace("uniform token", "custom double warpgrasp:openingPosition = 3\nuniform token"),
        ),
        r"/hand/hinge opens at 3, outside its limits",
    ),
    "bad region": (
        (
            PALM.rstrip().removesuffix("}")
            + """def Mesh "pad"
    {
        custom string warpgrasp:finger = "palm"
        custom token warpgrasp:region = "elbow"
    }
}""",
            FINGER,
            HINGE,
        ),
        r"/hand/palm/pad has region 'elbow'; use one of tip, middle, palm",
    ),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "_"))
def test_bad_assets_are_refused_by_name(tmp_path: Path, case: str) -> None:
    prims, message = BAD[case]
    path = write(tmp_path, *prims)
    with pytest.raises(ValueError, match=message):
        load_hand(path)


def test_not_a_usd_file(tmp_path: Path) -> None:
    path = tmp_path / "hand.usda"
    path.write_text("this is no USD")
    with pytest.raises(ValueError, match="not a USD file that can be read"):
        load_hand(path)


def test_wrong_joint_count(tmp_path: Path) -> None:
    hand = load(tmp_path, PALM, FINGER, HINGE)
    with pytest.raises(ValueError, match=r"must have shape \(1,\) in the order hinge \(got \(2,\)\)"):
        hand.forward_kinematics(ZERO, IDENTITY, [0.0, 0.0])


def test_quaternion_borders_and_round_trips() -> None:
    wxyz = np.array([0.1, 0.2, -0.3, 0.9])
    wxyz /= np.linalg.norm(wxyz)
    xyzw = quaternion_from_wxyz(tuple(wxyz))
    np.testing.assert_allclose(xyzw, wxyz[[1, 2, 3, 0]], atol=1e-12)
    np.testing.assert_allclose(quaternion_to_wxyz(xyzw), wxyz, atol=1e-12)
    random = np.random.default_rng(0)
    for _ in range(50):
        q = random.normal(size=4)
        q /= np.linalg.norm(q)
        again = matrix_to_quaternion(quaternion_to_matrix(q))
        assert abs(float(again @ q)) == pytest.approx(1.0, abs=1e-12)
        a, b = random.normal(size=(2, 3))
        a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
        np.testing.assert_allclose(rotate(quaternion_between(a, b), a), b, atol=1e-12)
    np.testing.assert_allclose(
        rotate(quaternion_between((0, 0, 1), (0, 0, -1)), (0, 0, 1)), [0, 0, -1], atol=1e-12
    )
    np.testing.assert_allclose(
        quaternion_to_matrix(rpy_to_quaternion((0.1, -0.2, 0.3)))[:, 0],
        [math.cos(0.3) * math.cos(-0.2), math.sin(0.3) * math.cos(-0.2), -math.sin(-0.2)],
        atol=1e-12,
    )


def test_shapes_agree_with_trimesh() -> None:
    """Distance, closest point, volume and inertia of posed shapes against an independent library."""
    trimesh = pytest.importorskip("trimesh")
    random = np.random.default_rng(5)
    turn = rpy_to_quaternion((0.3, -0.7, 1.1))
    corners = random.normal(size=(20, 3)) * (0.01, 0.02, 0.03)
    shapes = [
        box_shape((0.01, 0.02, 0.005), (0.01, 0.0, -0.02), turn),
        convex_shape(corners),
        capsule_shape(0.01, 0.02, (0.0, 0.01, 0.0), turn),
    ]
    for shape, tolerance in zip(shapes, (1e-9, 1e-9, 2e-4), strict=True):
        mesh = trimesh.Trimesh(shape.mesh.vertices, shape.mesh.faces, process=False)
        assert mesh.is_watertight
        outside = random.normal(size=(200, 3)) * 0.04
        closest, distance, _ = trimesh.proximity.closest_point_naive(mesh, outside)
        surface, normal, signed = shape.closest_surface_points(outside)
        out = signed > tolerance
        assert out.sum() > 50
        np.testing.assert_allclose(signed[out], distance[out], atol=tolerance)
        if shape.type != GeometryType.CAPSULE:
            np.testing.assert_allclose(surface[out], closest[out], atol=1e-8)
        np.testing.assert_allclose(surface + signed[:, None] * normal, outside, atol=1e-9)
        mass = shape.mass_properties(2.0)
        mesh.density = 2.0 / mesh.volume
        np.testing.assert_allclose(mass.center_of_mass, mesh.center_mass, atol=1e-9)
        np.testing.assert_allclose(mass.inertia, mesh.moment_inertia, rtol=1e-6, atol=1e-12)


def test_combined_mass_of_two_halves_is_the_whole() -> None:
    left = box_shape((0.01, 0.01, 0.01), (-0.01, 0.0, 0.0)).mass_properties(1.0)
    right = box_shape((0.01, 0.01, 0.01), (0.01, 0.0, 0.0)).mass_properties(1.0)
    whole = box_shape((0.02, 0.01, 0.01), (0.0, 0.0, 0.0)).mass_properties(2.0)
    both = combine_mass([left, right])
    np.testing.assert_allclose(both.inertia, whole.inertia, atol=1e-12)


def test_merged_planes_of_a_cube() -> None:
    corners = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    assert len(convex_shape(corners).plane) == 6
    with pytest.raises(ValueError, match="not in one plane"):
        convex_shape([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)])
