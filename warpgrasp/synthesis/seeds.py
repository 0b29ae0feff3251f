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
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.special import ndtr, ndtri

from warpgrasp.base.ranges import ANY_FINITE, NumberRange, check_numbers
from warpgrasp.hands.grasp_type import SeedPlace
from warpgrasp.kernels.seed_places import closest_on_hull_kernel, spread_points_kernel

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.synthesis.problem import GraspProblem

__all__ = ["InitializeConfig", "SeedGrasps", "seed_grasps", "seed_sets"]

_FARTHEST_POINT_GROUP = 1024  # seeds spread together; larger batches are spread group by group
_OVERSAMPLING = 20  # hull points per seed to choose from
_POINTS_AT_ONCE = 2_000_000  # hull points of the sets that are made together


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
    return seed_sets(problem, config, seed=seed, resets=[reset])[0]


def seed_sets(
    problem: GraspProblem, config: InitializeConfig, *, seed: int, resets: Sequence[int]
) -> list[SeedGrasps]:
    """Several sets of seeds at once: :func:`seed_grasps` of every number in ``resets``, the same numbers either way."""
    points = len(problem.objects) * _cloud_size(problem.grasp_count)
    at_once = max(1, _POINTS_AT_ONCE // points)
    sets: list[SeedGrasps] = []
    for start in range(0, len(resets), at_once):
        sets += _some_sets(problem, config, seed, resets[start : start + at_once])
    return sets


def _some_sets(
    problem: GraspProblem, config: InitializeConfig, seed: int, resets: Sequence[int]
) -> list[SeedGrasps]:
    """Sets that are made together; rows of all arrays are (set, object), grasps of an object side by side."""
    count, joints = problem.grasp_count, problem.hand.dof_count
    cloud, columns = _cloud_size(count), 4 + joints + problem.contact_count
    rows = [(reset, model) for reset in resets for model in problem.objects]
    uniform = np.empty((len(rows), 3 * cloud + count * columns))
    keys = np.empty((len(rows), count), dtype=np.uint32)
    for row, (reset, model) in enumerate(rows):
        sequence = np.random.SeedSequence([seed, int(model.mesh_hash[:16], 16), reset])
        np.random.default_rng(sequence).random(out=uniform[row])
        keys[row] = sequence.spawn(1)[0].generate_state(count, dtype=np.uint32)
    places, grasps = np.split(uniform, [3 * cloud], axis=1)
    grasps = grasps.reshape(-1, columns)
    surface, outward = _hull_seeds(problem, config.inflation, places.reshape(len(rows), cloud, 3))
    pose = _root_poses(problem, config, surface.reshape(-1, 3), outward.reshape(-1, 3), grasps[:, :4])
    joint_position = _joint_positions(problem, config.joint_spread, grasps[:, 4 : 4 + joints])
    contacts = _distinct_contacts(problem.slot_start, problem.slot_count, grasps[:, 4 + joints :])
    arrays = (pose, joint_position, contacts, keys.reshape(-1))
    parts = [np.split(array, len(resets)) for array in arrays]
    return [SeedGrasps(*columns) for columns in zip(*parts, strict=True)]


def _root_poses(
    problem: GraspProblem, config: InitializeConfig, surface: NDArray, outward: NDArray, uniform: NDArray
) -> NDArray[np.float64]:
    """Hand roots [N, 7] before points of the hull, by four uniform numbers each."""
    between = problem.grasp_type.seed_place == SeedPlace.FINGERTIPS
    lower, upper = (
        (config.tip_distance_lower, config.tip_distance_upper)
        if between
        else (config.distance_lower, config.distance_upper)
    )
    distance = lower + (upper - lower) * uniform[:, :1]
    position, rotation = _fingertip_frame(problem) if between else _wrist_frame(problem.hand)
    root_rotation = _facing(-outward, config, uniform[:, 1:]) * rotation.inv()
    root_position = surface + distance * outward - root_rotation.apply(position)
    return np.concatenate([root_position, root_rotation.as_quat()], axis=1)


def _cloud_size(count: int) -> int:
    """Points of the inflated hull among which ``count`` seeds are chosen."""
    return max(256, _OVERSAMPLING * count)


def _hull_seeds(problem: GraspProblem, inflation: float, uniform: NDArray) -> tuple[NDArray, NDArray]:
    """Points on the convex hulls nearest to seeds spread over the inflated ones, and the outward directions.

    Args:
        problem: Hand and objects; rows of ``uniform`` go round the objects.
        inflation: Way of the vertices outward [m].
        uniform: Three uniform numbers for each point of the clouds, shape [S, M, 3].

    Returns:
        Points [m] and unit vectors, each of shape [S, N, 3].
    """
    device, count, size = problem.device, problem.grasp_count, uniform.shape[1]
    hulls, cloud = [], np.empty(uniform.shape, dtype=np.float32)
    for index, model in enumerate(problem.objects):
        vertices, faces = model.convex_hull
        radial = vertices - vertices.mean(axis=0)
        inflated = vertices + inflation * radial / np.linalg.norm(radial, axis=1, keepdims=True)
        own = slice(index, None, len(problem.objects))
        cloud[own] = _sample_triangles(inflated[faces], uniform[own])
        hulls.append(
            wp.Mesh(
                points=wp.array(vertices, dtype=wp.vec3, device=device),
                indices=wp.array(faces.ravel(), dtype=wp.int32, device=device),
            )
        )
    groups = -(-count // _FARTHEST_POINT_GROUP)
    cloud_start = [0, *np.cumsum([len(part) for part in np.array_split(np.arange(size), groups)])]
    chosen_start = [*range(0, count, _FARTHEST_POINT_GROUP), count]
    chosen: wp.array = wp.empty((len(cloud), count), dtype=wp.vec3, device=device)
    starts: list[wp.array] = [
        wp.array(numbers, dtype=wp.int32, device=device) for numbers in (cloud_start, chosen_start)
    ]
    wp.launch(
        spread_points_kernel,
        dim=(len(cloud), groups),
        inputs=[wp.array(cloud, dtype=wp.vec3, device=device), *starts],
        outputs=[wp.empty((len(cloud), size), dtype=wp.float32, device=device), chosen],
        device=device,
        record_tape=False,
    )
    handles = [hulls[row % len(hulls)].id for row in range(len(cloud))]
    closest = wp.empty_like(chosen)
    wp.launch(
        closest_on_hull_kernel,
        dim=chosen.shape,
        inputs=[wp.array(handles, dtype=wp.uint64, device=device), chosen],
        outputs=[closest],
        device=device,
        record_tape=False,
    )
    surface = closest.numpy().astype(np.float64)
    outward = chosen.numpy().astype(np.float64) - surface
    return surface, outward / np.linalg.norm(outward, axis=-1, keepdims=True)


def _sample_triangles(triangles: NDArray, uniform: NDArray) -> NDArray:
    """Points evenly spread over triangles [T, 3, 3] by three uniform numbers each, shape [..., 3]."""
    edge_u, edge_v = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = np.cumsum(np.linalg.norm(np.cross(edge_u, edge_v), axis=1))
    chosen = np.searchsorted(area, uniform[..., 0] * area[-1], side="right")
    chosen = np.minimum(chosen, len(triangles) - 1)
    root, along = np.sqrt(uniform[..., 1:2]), uniform[..., 2:3]
    return np.asarray(triangles[chosen, 0] + root * ((1.0 - along) * edge_u[chosen] + along * edge_v[chosen]))


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


def _facing(direction: NDArray, config: InitializeConfig, uniform: NDArray) -> Rotation:
    """Rotations of a frame whose z looks along ``direction``, turned in the plane, pitched and tilted."""
    helper = np.where(np.abs(direction[:, 2:3]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    x = np.cross(helper, direction)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    facing = Rotation.from_matrix(np.stack([x, np.cross(direction, x), direction], axis=2))
    angle = (2.0 * uniform - 1.0) * [180.0, config.pitch, config.tilt]
    return facing * Rotation.from_euler("ZXY", angle, degrees=True)


def _joint_positions(problem: GraspProblem, spread: float, uniform: NDArray) -> NDArray[np.float64]:
    """Truncated normal around the opening pose, inside the limits; idle joints have equal limits and stay there."""
    lower = problem.tree.dof_lower.numpy().astype(np.float64)
    upper = problem.tree.dof_upper.numpy().astype(np.float64)
    mean = np.clip(problem.hand.dof_opening, lower, upper)
    deviation = np.maximum(spread * (upper - lower), 1e-9)
    low, high = ndtr((lower - mean) / deviation), ndtr((upper - mean) / deviation)
    return np.clip(mean + deviation * ndtri(low + uniform * (high - low)), lower, upper)


def _distinct_contacts(
    slot_start: Sequence[int], slot_count: Sequence[int], uniform: NDArray
) -> NDArray[np.int32]:
    """Candidates of every slot's range, without replacement within a grasp, by a uniform number each, shape [N, C]."""
    contacts = np.empty(uniform.shape, dtype=np.int32)
    for slot, (start, size) in enumerate(zip(slot_start, slot_count, strict=True)):
        # taken candidates of the range in ascending order, those outside it behind all others
        taken = np.sort(contacts[:, :slot], axis=1)
        inside = (taken >= start) & (taken < start + size)
        taken = np.sort(np.where(inside, taken, start + size + slot), axis=1)
        choice = start + np.floor(uniform[:, slot] * (size - inside.sum(axis=1))).astype(np.int32)
        for column in range(slot):  # the choice counts free candidates: pass over those that are taken
            choice += taken[:, column] <= choice
        contacts[:, slot] = choice
    return contacts
