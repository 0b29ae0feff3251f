"""Seed grasps around the inflated convex hull of an object (Wang et al. 2023, Sec. III-C; Zurbrügg et al. 2025, Sec. 4).

Seeds are spread by farthest-point sampling over the inflated hull; the palm faces the nearest point of the hull from 5 to
10 cm, turned in the plane by any angle and tilted a little; joints start around the hand's opening pose. A grasp type whose
``seed_place`` says so, such as a pinch, starts with the hull between the open fingertips instead, which lie well beside the
palm normal: the optimiser does not find the way around an object.

Random numbers depend on (seed, mesh hash, reset number) alone, never on the other objects of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation
from scipy.special import ndtr, ndtri

from warpgrasp.base.ranges import ANY_FINITE, NumberRange, check_numbers
from warpgrasp.hands.grasp_type import SeedPlace

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.problem import GraspProblem

__all__ = ["InitializeConfig", "SeedGrasps", "seed_grasps"]

_FARTHEST_POINT_GROUP = 1024  # seeds spread together; larger batches are spread group by group
_OVERSAMPLING = 20  # hull points per seed to choose from


@dataclass(frozen=True, kw_only=True)
class InitializeConfig:
    """Distribution of the seed grasps; ranges are uniform."""

    inflation: float = 0.05
    """Distance by which hull vertices are pushed outward before seeds are spread on it [m]."""
    distance_lower: float = 0.05
    distance_upper: float = 0.10
    """Range of the distance of the wrist frame from the hull [m]."""
    tip_distance_lower: float = -0.01
    tip_distance_upper: float = 0.05
    """The same for the middle of the fingertips, of a grasp type that starts there; negative is inside."""
    pitch: float = 15.0
    """Largest rotation about the thumb direction [deg]."""
    tilt: float = 45.0
    """Largest rotation about the finger direction [deg]."""
    joint_spread: float = 0.1
    """Standard deviation of joints around the opening pose, as a fraction of their range."""

    def __post_init__(self) -> None:
        angle = NumberRange(upper=180.0)
        check_numbers(
            self,
            "initialize",
            tip_distance_lower=ANY_FINITE,
            tip_distance_upper=ANY_FINITE,
            pitch=angle,
            tilt=angle,
        )
        if not 0.0 <= self.distance_lower <= self.distance_upper:
            raise ValueError(
                "initialize.distance_lower must not exceed distance_upper and be at least 0 "
                f"(got {self.distance_lower}, {self.distance_upper})"
            )
        if not self.tip_distance_lower <= self.tip_distance_upper:
            raise ValueError(
                "initialize.tip_distance_lower must not exceed tip_distance_upper "
                f"(got {self.tip_distance_lower}, {self.tip_distance_upper})"
            )


@dataclass(frozen=True, eq=False)
class SeedGrasps:
    """Start of ``B`` chains on the host."""

    root_pose: NDArray[np.float64]
    """Hand root in the object frame: position [m] and quaternion xyzw, shape [B, 7]."""
    joint_position: NDArray[np.float64]
    """Shape [B, J], rad or m, inside the limits."""
    contact_index: NDArray[np.int32]
    """Distinct candidates per grasp, shape [B, C]."""
    random_key: NDArray[np.uint32]
    """Key of every chain's random numbers, shape [B]."""


def seed_grasps(problem: GraspProblem, config: InitializeConfig, *, seed: int, reset: int = 0) -> SeedGrasps:
    """Seeds of every grasp of a problem; ``reset`` numbers independent sets of the same seed."""
    parts = [_seed_object(problem, model, config, seed, reset) for model in problem.objects]
    return SeedGrasps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _seed_object(
    problem: GraspProblem, model: ObjectModel, config: InitializeConfig, seed: int, reset: int
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    sequence = np.random.SeedSequence([seed, int(model.mesh_hash[:16], 16), reset])
    random = np.random.default_rng(sequence)
    count = problem.grasp_count
    surface, outward = _hull_seeds(model, config.inflation, count, random)
    between = problem.grasp_type.seed_place == SeedPlace.FINGERTIPS
    lower, upper = (
        (config.tip_distance_lower, config.tip_distance_upper)
        if between
        else (config.distance_lower, config.distance_upper)
    )
    distance = random.uniform(lower, upper, count)
    position, rotation = _fingertip_frame(problem) if between else _wrist_frame(problem.hand)
    root_rotation = _facing(-outward, config, random) * rotation.inv()
    root_position = surface + distance[:, None] * outward - root_rotation.apply(position)
    pose = np.concatenate([root_position, root_rotation.as_quat()], axis=1)
    joints = _joint_positions(problem, config.joint_spread, count, random)
    contacts = _distinct_contacts(problem.slot_start, problem.slot_count, count, random)
    return pose, joints, contacts, sequence.spawn(1)[0].generate_state(count, dtype=np.uint32)


def _hull_seeds(
    model: ObjectModel, inflation: float, count: int, random: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """Points on the convex hull [count, 3] nearest to seeds spread over the inflated hull, and the outward directions."""
    hull = ConvexHull(model.vertices)
    vertices = model.vertices[hull.vertices]
    renumber = np.zeros(len(model.vertices), dtype=np.int64)
    renumber[hull.vertices] = np.arange(len(vertices))
    triangles = vertices[renumber[hull.simplices]]
    center = vertices.mean(axis=0)
    radial = vertices - center
    inflated = vertices + inflation * radial / np.linalg.norm(radial, axis=1, keepdims=True)
    cloud = _sample_triangles(inflated[renumber[hull.simplices]], max(256, _OVERSAMPLING * count), random)
    seeds = np.concatenate(
        [
            _farthest_points(part, min(_FARTHEST_POINT_GROUP, count - start))
            for start, part in zip(
                range(0, count, _FARTHEST_POINT_GROUP),
                np.array_split(cloud, -(-count // _FARTHEST_POINT_GROUP)),
                strict=True,
            )
        ]
    )
    surface = np.stack([_closest_on_triangles(triangles, point) for point in seeds])
    outward = seeds - surface
    return surface, outward / np.linalg.norm(outward, axis=1, keepdims=True)


def _sample_triangles(triangles: NDArray, count: int, random: np.random.Generator) -> NDArray:
    edge_u, edge_v = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = np.linalg.norm(np.cross(edge_u, edge_v), axis=1)
    chosen = random.choice(len(triangles), size=count, p=area / area.sum())
    weights = random.dirichlet((1.0, 1.0, 1.0), size=count)
    return np.einsum("nk,nkd->nd", weights, triangles[chosen])


def _farthest_points(points: NDArray, count: int) -> NDArray:
    """Farthest-point sampling from the first point on."""
    chosen = np.zeros(count, dtype=np.int64)
    distance = np.full(len(points), np.inf)
    for i in range(1, count):
        distance = np.minimum(distance, np.sum((points - points[chosen[i - 1]]) ** 2, axis=1))
        chosen[i] = int(np.argmax(distance))
    return points[chosen]


def _closest_on_triangles(triangles: NDArray, point: NDArray) -> NDArray:
    closest = trimesh.triangles.closest_point(triangles, np.broadcast_to(point, (len(triangles), 3)))
    return closest[np.argmin(np.sum((closest - point) ** 2, axis=1))]


def _wrist_frame(hand: HandModel) -> tuple[NDArray, Rotation]:
    """Position and rotation of the wrist frame in the root frame; z is the palm normal."""
    return hand.wrist_position, Rotation.from_quat(hand.wrist_quaternion)


def _fingertip_frame(problem: GraspProblem) -> tuple[NDArray, Rotation]:
    """Middle of the fingertips at the opening pose, in the root frame; z between the palm normal and the way there."""
    hand, candidates = problem.hand, problem.host_candidates
    wrist, rotation = _wrist_frame(hand)
    position, quaternion = hand.forward_kinematics(
        np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]), hand.dof_opening
    )
    link = candidates.link
    points = position[link] + Rotation.from_quat(quaternion[link]).apply(candidates.position)
    middle = np.mean(
        [points[candidates.finger == finger].mean(axis=0) for finger in np.unique(candidates.finger)], axis=0
    )
    palm, reach = rotation.apply([0.0, 0.0, 1.0]), middle - wrist
    turn, _ = Rotation.align_vectors([palm + reach / np.linalg.norm(reach)], [palm])
    return middle, turn * rotation


def _facing(direction: NDArray, config: InitializeConfig, random: np.random.Generator) -> Rotation:
    """Rotations of a frame whose z looks along ``direction``, turned in the plane, pitched and tilted."""
    count = len(direction)
    helper = np.where(np.abs(direction[:, 2:3]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    x = np.cross(helper, direction)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    facing = Rotation.from_matrix(np.stack([x, np.cross(direction, x), direction], axis=2))
    in_plane = random.uniform(-180.0, 180.0, count)
    pitch = random.uniform(-config.pitch, config.pitch, count)
    tilt = random.uniform(-config.tilt, config.tilt, count)
    return facing * Rotation.from_euler("ZXY", np.stack([in_plane, pitch, tilt], axis=1), degrees=True)


def _joint_positions(
    problem: GraspProblem, spread: float, count: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Truncated normal around the opening pose, inside the limits; idle joints have equal limits and stay there."""
    lower = problem.tree.dof_lower.numpy().astype(np.float64)
    upper = problem.tree.dof_upper.numpy().astype(np.float64)
    mean = np.clip(problem.hand.dof_opening, lower, upper)
    deviation = np.maximum(spread * (upper - lower), 1e-9)
    low, high = ndtr((lower - mean) / deviation), ndtr((upper - mean) / deviation)
    uniform = random.uniform(size=(count, len(mean)))
    return np.clip(mean + deviation * ndtri(low + uniform * (high - low)), lower, upper)


def _distinct_contacts(
    slot_start: Sequence[int], slot_count: Sequence[int], count: int, random: np.random.Generator
) -> NDArray[np.int32]:
    """Candidates of every slot's range, without replacement within a grasp."""
    contacts = np.empty((count, len(slot_start)), dtype=np.int32)
    for grasp in range(count):
        taken: set[int] = set()
        for slot, (start, size) in enumerate(zip(slot_start, slot_count, strict=True)):
            free = [c for c in range(start, start + size) if c not in taken]
            contacts[grasp, slot] = free[random.integers(len(free))]
            taken.add(int(contacts[grasp, slot]))
    return contacts
