"""The sampling baseline of GraspIt!: simulated annealing in a space of hand poses, then fingers that close until they touch.

The joints of a candidate follow one number, an eigengrasp that leads from the opening pose to the closed hand (Ciocarlie et al.
2007; ours follows from the hand's kinematics, theirs from recorded human grasps). Annealing by heavy-tailed random steps
(Ingber 1989) seeks poses whose contact points lie near the object and look at it. Then the hand goes forward along its palm
until it
touches, every joint closes until a link that it moves touches (Miller and Allen 2004), and the grasp is as good as the largest
ball of wrenches that it resists, epsilon (Ferrari and Canny 1992). Several rounds make a pool; the grasps returned are
spread by farthest points over those with a positive epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.transform import Rotation

from warpgrasp.base.ranges import POSITIVE, NumberRange, check_numbers
from warpgrasp.synthesis.closing import ClosingConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_terms import SelfPenetration
from warpgrasp.synthesis.finger_closing import FingerClosing, closing_direction
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.synthesize import SynthesisConfig
from warpgrasp.synthesis.touching_candidates import touching_candidates

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.seeds import SeedGrasps
    from warpgrasp.synthesis.state import GraspState

__all__ = ["METHODS", "OptimizerSampling", "epsilon_of_contacts", "spread_choice"]

FloatArray = np.ndarray

_TOUCHING = 0.002  # m; candidates at most this far from the object are contacts
_EDGES = 8
_TORQUE_WEIGHT = 5.0  # 1/m
_TURN_LENGTH = 0.1  # m; makes turns comparable with ways


@dataclass(eq=False)
class SamplingState:
    """A run: the candidate in evaluation, the chains on the host, and the pool of closed grasps."""

    best: GraspState
    rounds: list[tuple[FloatArray, FloatArray]]
    round_steps: int
    closed: FloatArray
    random: np.random.Generator
    status: wp.array
    accept_count: wp.array
    root: FloatArray = field(default_factory=lambda: np.zeros(0))
    opening: FloatArray = field(default_factory=lambda: np.zeros(0))
    amplitude: FloatArray = field(default_factory=lambda: np.zeros(0))
    value: FloatArray = field(default_factory=lambda: np.zeros(0))
    step: int = 0
    pool: list[dict[str, FloatArray]] = field(default_factory=list)

    @property
    def energy(self) -> wp.array:
        """Energies of the candidates, shape [B]."""
        return self.best.energy


@dataclass(frozen=True, kw_only=True)
class OptimizerSampling:
    """Simulated annealing of root pose and eigengrasp, closing until contact, selection by farthest points."""

    capturable = False  # random numbers and decisions on the host

    rounds: int = 4
    """Candidates per grasp that is returned; each has an equal part of the steps."""
    temperature: float = 1.0
    """First temperature of the random steps; 1 spreads them over the whole range."""
    cooling: float = 7.0
    """``T_k = T_0 exp(-cooling (k / n)^(1/2))``."""
    length_range: float = 0.05
    """Largest way of the root from its seed in a step [m]."""
    turn_range: float = 1.0
    """Largest turn of the root in a step [rad]."""
    energy_scale: float = 5.0
    """Rise of the energy that is accepted with probability 1/e at temperature 1."""
    friction: float = 0.5
    """Coulomb coefficient of epsilon."""

    def __post_init__(self) -> None:
        at_least_one = NumberRange(lower=1.0)
        positive = ("temperature", "cooling", "length_range", "turn_range", "energy_scale")
        check_numbers(self, "optimizer", rounds=at_least_one, **dict.fromkeys(positive, POSITIVE))

    def reset_count(self, step_count: int) -> int:
        """One set of seeds per further round."""
        return self.rounds - 1

    def init(
        self, problem: GraspProblem, seeds: SeedGrasps, resets: list[SeedGrasps], *, step_count: int
    ) -> SamplingState:
        """The first round's seeds, evaluated."""
        grasps = problem.create_state()
        problem.set_variables(grasps, seeds.root_pose, seeds.joint_position, seeds.contact_index)
        grasps.contact_index.assign(spread_contacts(problem))
        sets = [(own.root_pose.copy(), own.joint_position.copy()) for own in (seeds, *resets)]
        device, batch = problem.device, problem.batch_size
        state = SamplingState(
            grasps,
            sets,
            max(1, step_count // self.rounds),
            closing_direction(problem),
            np.random.default_rng([int(key) for key in seeds.random_key]),
            wp.zeros(batch, dtype=wp.int32, device=device),
            wp.zeros(batch, dtype=wp.int32, device=device),
        )
        self._begin(problem, state, 0)
        return state

    def _begin(self, problem: GraspProblem, state: SamplingState, number: int) -> None:
        state.root, state.opening = (part.copy() for part in state.rounds[number])
        state.amplitude = np.zeros(problem.batch_size)
        state.value = self._evaluated(problem, state, state.root, state.amplitude)

    @staticmethod
    def _joints(problem: GraspProblem, state: SamplingState, amplitude: FloatArray) -> FloatArray:
        lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
        return np.asarray(np.clip(state.opening + amplitude[:, None] * state.closed, lower, upper))

    def _evaluated(
        self, problem: GraspProblem, state: SamplingState, root: FloatArray, amplitude: FloatArray
    ) -> FloatArray:
        state.best.root_pose.assign(root.astype(np.float32))
        state.best.joint_position.assign(self._joints(problem, state, amplitude).astype(np.float32))
        problem.evaluate(state.best)
        return np.asarray(np.nan_to_num(state.best.energy.numpy().astype(np.float64), nan=np.inf))

    def step(self, problem: GraspProblem, state: SamplingState) -> None:
        """One proposal of every chain; at the end of a round the hands close and join the pool."""
        if len(state.pool) == self.rounds:
            return
        share = (state.step % state.round_steps) / state.round_steps
        temperature = self.temperature * np.exp(-self.cooling * np.sqrt(share))
        draw = self._heavy_tailed(state.random, (len(state.root), 7), temperature)
        root = state.root.copy()
        root[:, :3] += self.length_range * draw[:, :3]
        turn = Rotation.from_rotvec(self.turn_range * draw[:, 3:6])
        root[:, 3:] = (Rotation.from_quat(state.root[:, 3:]) * turn).as_quat()
        amplitude = np.clip(state.amplitude + draw[:, 6], 0.0, 1.0)
        value = self._evaluated(problem, state, root, amplitude)
        rise = (value - state.value) / (self.energy_scale * temperature)
        with np.errstate(over="ignore", invalid="ignore"):
            accept = state.random.uniform(size=len(value)) < np.exp(-np.maximum(rise, 0.0))
        state.root[accept], state.amplitude[accept] = root[accept], amplitude[accept]
        state.value[accept] = value[accept]
        state.accept_count.assign(state.accept_count.numpy() + accept.astype(np.int32))
        state.step += 1
        if state.step % state.round_steps == 0:
            self._close(problem, state)
            if len(state.pool) < self.rounds:
                self._begin(problem, state, len(state.pool))

    @staticmethod
    def _heavy_tailed(random: np.random.Generator, shape: tuple[int, int], temperature: float) -> FloatArray:
        """Numbers in [-1, 1] about 0, the nearer the lower the temperature (Ingber 1989)."""
        uniform = random.uniform(-1.0, 1.0, size=shape)
        size = temperature * ((1.0 + 1.0 / temperature) ** np.abs(uniform) - 1.0)
        return np.asarray(np.sign(uniform) * size)

    def _close(self, problem: GraspProblem, state: SamplingState) -> None:
        """Approach, close, measure, and keep."""
        self._evaluated(problem, state, state.root, state.amplitude)
        FingerClosing(problem).close(state.best, state.closed)
        problem.evaluate(state.best)
        contacts = touching_candidates(problem, state.best)
        state.best.contact_index.assign(contacts)
        problem.evaluate(state.best)
        position, normal, distance = (
            array.numpy().astype(np.float64)
            for array in (state.best.contact_position, state.best.object_normal, state.best.contact_distance)
        )
        quality = np.zeros(problem.batch_size)
        for grasp in range(problem.batch_size):
            near = np.abs(distance[grasp]) < _TOUCHING
            center = problem.objects[grasp // problem.grasp_count].center_of_mass
            quality[grasp] = epsilon_of_contacts(
                position[grasp, near], normal[grasp, near], center, self.friction
            )
        state.pool.append(
            {
                "root": state.best.root_pose.numpy().copy(),
                "joints": state.best.joint_position.numpy().copy(),
                "contacts": contacts,
                "quality": quality,
            }
        )
        state.best.contact_index.assign(spread_contacts(problem))

    def finish(self, problem: GraspProblem, state: SamplingState) -> None:
        """Choose the grasps that are returned from the pool, object by object."""
        if not state.pool:
            self._close(problem, state)
        count = problem.grasp_count
        chosen: dict[str, list[FloatArray]] = {"root": [], "joints": [], "contacts": []}
        for number in range(len(problem.objects)):
            own = slice(number * count, (number + 1) * count)
            pool = {name: np.concatenate([part[name][own] for part in state.pool]) for name in state.pool[0]}
            index = spread_choice(pool["root"], pool["quality"], count)
            for name, parts in chosen.items():
                parts.append(pool[name][index])
        state.best.root_pose.assign(np.concatenate(chosen["root"]))
        state.best.joint_position.assign(np.concatenate(chosen["joints"]))
        state.best.contact_index.assign(np.concatenate(chosen["contacts"]))
        problem.evaluate(state.best)


def spread_contacts(problem: GraspProblem) -> FloatArray:
    """The same contacts for every grasp: candidates spread over the slots' ranges, as GraspIt!'s virtual contacts."""
    taken: list[int] = []
    for start, count in zip(problem.slot_start, problem.slot_count, strict=True):
        place = problem.host_candidates
        way = np.full(place.count, 1.0)
        for other in taken:
            same = place.link == place.link[other]
            gap = np.linalg.norm(place.position - place.position[other], axis=1)
            way = np.minimum(way, np.where(same, gap, 0.5))
        way[taken] = -1.0
        taken.append(start + int(np.argmax(way[start : start + count])))
    return np.tile(np.array(taken, dtype=np.int32), (problem.batch_size, 1))


def epsilon_of_contacts(
    position: FloatArray, normal: FloatArray, center: FloatArray, friction: float
) -> float:
    """Radius of the largest ball of wrenches in the hull of unit edge forces (Ferrari and Canny 1992); 0 without closure.

    Args:
        position: Contact points [m], shape [C, 3].
        normal: Outward normals of the object, shape [C, 3].
        center: Centre of mass [m], shape [3].
        friction: Coulomb coefficient.
    """
    if len(position) < 2:
        return 0.0
    helper = np.where(np.abs(normal[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(normal, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(normal, first)
    angle = 2.0 * np.pi * np.arange(_EDGES)[:, None, None] / _EDGES
    force = friction * (np.cos(angle) * first + np.sin(angle) * second) - normal
    wrench = np.concatenate([force, _TORQUE_WEIGHT * np.cross(position - center, force)], axis=2).reshape(
        -1, 6
    )
    try:
        return float(max(-ConvexHull(wrench).equations[:, -1].max(), 0.0))
    except QhullError:  # flat: no wrench beside its plane is resisted
        return 0.0


def spread_choice(root: FloatArray, quality: FloatArray, count: int) -> FloatArray:
    """Indices of ``count`` grasps: the best, then in turn the closed one farthest from those chosen; then by quality.

    Args:
        root: Root poses [N, 7].
        quality: Epsilon [N]; positive is closed.
        count: Grasps wanted, at most N.
    """
    closed = np.flatnonzero(quality > 0.0)
    order = [int(np.argmax(quality))]
    way = _pose_distance(root, root[order[0]])
    while len(order) < min(count, max(len(closed), 1)):
        far = closed[np.argmax(way[closed])]
        if far in order:
            break
        order.append(int(far))
        way = np.minimum(way, _pose_distance(root, root[far]))
    rest = [int(i) for i in np.argsort(-quality, kind="stable") if i not in order]
    return np.array((order + rest)[:count])


def _pose_distance(root: FloatArray, other: FloatArray) -> FloatArray:
    """Way of the root and its turn times 10 cm [m]."""
    way = np.linalg.norm(root[:, :3] - other[:3], axis=1)
    cosine = np.abs(root[:, 3:] @ other[3:])
    return np.asarray(way + _TURN_LENGTH * 2.0 * np.arccos(np.clip(cosine, 0.0, 1.0)))


METHODS = {
    "sampling": Method(
        summary="Simulated annealing of pose and eigengrasp, fingers close until they touch, best spread by epsilon.",
        source="Ciocarlie et al. 2007 and Miller and Allen 2004 (GraspIt!)",
        config=SynthesisConfig(
            step_count=1600,
            energy=EnergyConfig(self_penetration=SelfPenetration(weight=10.0, margin=0.0)).without(
                "force_closure", "sphere_penetration"
            ),
            optimizer=OptimizerSampling(),
            closing=ClosingConfig(steps=0),
        ),
    ),
}
