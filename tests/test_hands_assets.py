"""The shipped hands: annotation, mass, candidates and the data sheets they were built from."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from warpgrasp.geometry.rotations import compose, quaternion_to_matrix, rotate
from warpgrasp.hands import GeometryType, HandModel, JointType, hand_names, load_hand
from warpgrasp.hands.authoring.sphere_cover import uncovered_depth

ALL_HANDS = pytest.mark.parametrize("name", hand_names())
FloatArray = NDArray[np.float64]


def distance_to_shape(hand: HandModel, geometry: int, point: FloatArray) -> float:
    """Signed distance near the surface, written independently of the library."""
    turn = quaternion_to_matrix(hand.geometry_quaternion[geometry])
    local = turn.T @ (point - hand.geometry_position[geometry])
    size = hand.geometry_size[geometry]
    if hand.geometry_type[geometry] == GeometryType.CAPSULE:
        local[2] = math.copysign(max(0.0, abs(local[2]) - size[1]), local[2])
        return float(np.linalg.norm(local) - size[0])
    if hand.geometry_type[geometry] == GeometryType.BOX:
        over = np.abs(local) - size
        return float(np.linalg.norm(np.maximum(over, 0.0)) + min(over.max(), 0.0))
    start = hand.geometry_plane_start[geometry]
    planes = hand.plane[start : start + hand.geometry_plane_count[geometry]]
    return float((planes[:, :3] @ local - planes[:, 3]).max())


def test_shipped_hands() -> None:
    vendors = {
        "ability_hand",
        "allegro",
        "barrett",
        "leap",
        "robotiq_2f140",
        "robotiq_3f",
        "shadow",
        "shadow_wristless",
    }
    assert set(hand_names()) == vendors
    assert load_hand("allegro") is load_hand("allegro")
    assert load_hand("allegro").dof_count == 16
    assert load_hand("robotiq_2f140").joint_names == ("finger_joint",)


def test_unknown_hand_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown hand 'alegro'.*allegro.*robotiq_2f140"):
        load_hand("alegro")
    with pytest.raises(ValueError, match="does not exist"):
        load_hand("nowhere/hand.usda")


def test_import_is_light() -> None:
    code = "import sys, warpgrasp.hands; print([m for m in ('pxr', 'warp', 'trimesh') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_listing_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "warpgrasp.hands"], capture_output=True, text=True, check=True
    )
    assert "allegro" in done.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "warpgrasp.hands", "alegro"], capture_output=True, text=True
    )
    assert wrong.returncode == 1
    assert "unknown hand" in wrong.stderr


@ALL_HANDS
def test_arrays_agree(name: str) -> None:
    hand = load_hand(name)
    links, dofs = hand.link_count, hand.dof_count
    assert hand.link_parent[0] == -1
    assert np.all(hand.link_parent[1:] < np.arange(1, links))
    assert hand.joint_type[0] == JointType.FIXED
    assert len(hand.asset_hash) == 64
    for array in (hand.dof_lower, hand.dof_effort, hand.dof_velocity, hand.dof_stiffness, hand.dof_opening):
        assert array.shape == (dofs,)
    assert np.all(np.isfinite(hand.dof_effort))
    assert np.all(hand.dof_effort > 0.0)
    assert np.all(hand.dof_lower <= hand.dof_opening)
    assert np.all(hand.dof_opening <= hand.dof_upper)
    np.testing.assert_allclose(np.linalg.norm(hand.joint_axis, axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(hand.joint_parent_quaternion, axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(hand.plane[:, :3], axis=1), 1.0, atol=1e-9)
    assert int(hand.geometry_plane_count.sum()) == len(hand.plane)


@ALL_HANDS
def test_asset_is_what_its_description_writes(name: str, tmp_path: Path) -> None:
    """Nobody edits hand.usda by hand, and nobody forgets to write it again."""
    from pxr import Sdf

    from warpgrasp.hands.authoring.author import write_hand

    description = importlib.import_module(f"warpgrasp.hands.shipped.{name}.build").describe()
    write_hand(description, tmp_path / "hand.usda")
    written, shipped = (Sdf.Layer.FindOrOpen(str(p)) for p in (tmp_path / "hand.usda", load_hand(name).path))
    assert list(written.rootPrims[0].nameChildren.keys()) == list(shipped.rootPrims[0].nameChildren.keys())
    again = load_hand(tmp_path / "hand.usda")
    for field in (
        "joint_parent_position",
        "geometry_size",
        "plane",
        "link_inertia",
        "sphere_position",
        "dof_upper",
    ):
        np.testing.assert_allclose(getattr(again, field), getattr(load_hand(name), field), atol=1e-7)


@ALL_HANDS
def test_mass_is_physical(name: str) -> None:
    hand = load_hand(name)
    assert np.all(hand.link_mass > 0.0)
    for inertia in hand.link_inertia:
        np.testing.assert_allclose(inertia, inertia.T, atol=1e-12)
        moments = np.linalg.eigvalsh(inertia)
        assert moments[0] > 0.0
        assert moments[0] + moments[1] >= moments[2] * (1.0 - 1e-6)


@ALL_HANDS
def test_convex_pieces_contain_their_meshes(name: str) -> None:
    hand = load_hand(name)
    for geometry, mesh in enumerate(hand.geometry_mesh):
        distance = [distance_to_shape(hand, geometry, vertex) for vertex in mesh.vertices]
        assert np.abs(distance).max() < 1e-6
        corner = mesh.vertices[mesh.faces]
        assert np.einsum("ij,ij->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) > 0.0


@ALL_HANDS
def test_candidates_lie_on_the_surface(name: str) -> None:
    hand = load_hand(name)
    for grasp_type in hand.grasp_types:
        candidates = hand.contact_candidates(grasp_type)
        again = hand.contact_candidates(grasp_type)
        np.testing.assert_array_equal(candidates.position, again.position)
        assert np.bincount(candidates.patch).min() >= 8
        np.testing.assert_allclose(np.linalg.norm(candidates.normal, axis=1), 1.0, atol=1e-9)
        for link, point, normal in zip(candidates.link, candidates.position, candidates.normal, strict=True):
            own = np.flatnonzero(hand.geometry_link == link)
            here = [distance_to_shape(hand, g, point) for g in own]
            assert abs(min(here)) < 1e-4
            outside = [distance_to_shape(hand, g, point + 1e-3 * normal) for g in own]
            assert outside[int(np.argmin(here))] == pytest.approx(1e-3, abs=1e-5)
            assert min(outside) > 0.0


@ALL_HANDS
def test_candidates_are_spread(name: str) -> None:
    hand = load_hand(name)
    candidates = hand.contact_candidates("power")
    for patch in np.unique(candidates.patch):
        point = candidates.position[candidates.patch == patch]
        gap = np.linalg.norm(point[:, None] - point[None], axis=2) + np.eye(len(point))
        assert gap.min() > 1.5e-3


def test_candidate_count() -> None:
    hand = load_hand("allegro")
    assert 100 <= hand.contact_candidates("power").count <= 200
    assert hand.contact_candidates("power", count=300).count == 300
    with pytest.raises(ValueError, match=r"at least the number of patches, 13 \(got 3\)"):
        hand.contact_candidates("power", count=3)
    with pytest.raises(ValueError, match="no grasp type 'hook'; it has power, precision, pinch"):
        hand.contact_candidates("hook")


def test_grasp_types() -> None:
    hand = load_hand("allegro")
    assert set(hand.grasp_types["precision"].fingers) == {"thumb", "index", "middle"}
    assert set(hand.grasp_types["pinch"].fingers) == {"thumb", "index"}
    assert set(hand.grasp_types["precision"].idle_joint_position) == {f"joint_{n}.0" for n in range(8, 12)}
    for grasp_type in hand.grasp_types.values():
        for joint, value in grasp_type.idle_joint_position.items():
            dof = hand.joint_names.index(joint)
            assert hand.dof_lower[dof] <= value <= hand.dof_upper[dof]


@ALL_HANDS
def test_spheres_stay_inside_and_open(name: str) -> None:
    hand = load_hand(name)
    pairs = hand.self_collision_pairs()
    assert len(pairs) > 0
    assert np.all(hand.sphere_link[pairs[:, 0]] != hand.sphere_link[pairs[:, 1]])
    centers = hand.sphere_centers((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), hand.dof_opening)
    gap = np.linalg.norm(centers[pairs[:, 0]] - centers[pairs[:, 1]], axis=1)
    assert np.all(gap > hand.sphere_radius[pairs[:, 0]] + hand.sphere_radius[pairs[:, 1]])
    for link in np.unique(hand.sphere_link):
        # of the link's hull: the Allegro's palm is hollow, and nothing else fits between its plates
        own = np.flatnonzero(hand.geometry_link == link)
        hull = ConvexHull(np.concatenate([hand.geometry_mesh[g].vertices for g in own]))
        centers = hand.sphere_position[hand.sphere_link == link]
        assert (centers @ hull.equations[:, :3].T + hull.equations[:, 3]).max() < 0.0


@ALL_HANDS
def test_spheres_cover_the_phalanges(name: str) -> None:
    """Spheres keep 4 mm apart (``SelfPenetration.margin``): surface far outside of them would collide unseen."""
    hand = load_hand(name)
    for link in {patch.link for patch in hand.patches if patch.finger != "palm"}:
        own = hand.sphere_link == link
        spheres = np.column_stack([hand.sphere_position[own], hand.sphere_radius[own]])
        depth = uncovered_depth(hand.link_shapes(link), spheres)
        assert np.percentile(depth, 90) < 5e-3, hand.link_names[link]


def test_wrist_frame_convention() -> None:
    """x = thumb direction, y = finger direction, z = palm normal."""
    hand = load_hand("allegro")
    thumb, finger, normal = quaternion_to_matrix(hand.wrist_quaternion).T
    np.testing.assert_allclose(normal, [1.0, 0.0, 0.0], atol=1e-6)  # the sheet's palm normal
    np.testing.assert_allclose(finger, [0.0, 0.0, 1.0], atol=1e-6)  # the sheet's finger direction
    tips = frame_positions(hand, hand.dof_opening)
    assert (tips["thumb_tip_frame"] - tips["ring_tip_frame"]) @ thumb > 0.0


def test_gripper_pads_face_each_other() -> None:
    hand = load_hand("robotiq_2f140")
    candidates = hand.contact_candidates("power")
    position, quaternion = hand.forward_kinematics(np.zeros(3), (0.0, 0.0, 0.0, 1.0), [0.0])
    point = np.array(
        [
            position[k] + rotate(quaternion[k], p)
            for k, p in zip(candidates.link, candidates.position, strict=True)
        ]
    )
    normal = np.array(
        [rotate(quaternion[k], n) for k, n in zip(candidates.link, candidates.normal, strict=True)]
    )
    left = candidates.finger == candidates.finger_names.index("left")
    np.testing.assert_allclose(normal[left], [[0.0, 1.0, 0.0]] * left.sum(), atol=1e-5)
    np.testing.assert_allclose(normal[~left], [[0.0, -1.0, 0.0]] * (~left).sum(), atol=1e-5)
    opening = point[~left, 1].mean() - point[left, 1].mean()
    assert opening == pytest.approx(0.1285, abs=5e-4)  # the pads' gap when open


def frame_positions(hand: HandModel, joint_position: FloatArray) -> dict[str, FloatArray]:
    position, quaternion = hand.forward_kinematics(np.zeros(3), (0.0, 0.0, 0.0, 1.0), joint_position)
    return {
        frame.name: compose(position[frame.link], quaternion[frame.link], frame.position, frame.quaternion)[0]
        for frame in hand.frames
    }
