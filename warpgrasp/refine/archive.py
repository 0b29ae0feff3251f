"""The population of an evolution: an archive of grasps that keep a distance, and who becomes a parent.

A genome is a root pose and joints. A child whose nearest member is nearer than the threshold replaces it when it is fitter,
and is lost otherwise; any other child is added (Zurbrügg et al. 2026, DexEvolve). Parents win tournaments on shared fitness
(Goldberg and Richardson 1987): the fitness of a grasp is divided by the number of its neighbours, each counted by how near it
is, so that crowded places do not take over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.base.ranges import POSITIVE, NumberRange, check_numbers

__all__ = ["Archive", "EvolutionConfig", "Genomes", "children_of", "genome_distance"]

FloatArray = NDArray[np.float64]

_LEAST_FITNESS = 1.0e-3  # what a grasp without any counts in a tournament


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """Hyper-parameters; the paper does not print its own, these are ours, chosen on the tuning objects where noted."""

    position_scale: float = 0.02
    """Way of the root that makes a distance of 1 [m]."""
    angle_scale: float = 15.0
    """Turn of the root that makes a distance of 1 [deg]."""
    joint_scale: float = 1.0
    """Root mean square way of the joints that makes a distance of 1 [rad or m]."""
    threshold: float = 1.0
    """Squared distance below which two grasps count as the same niche."""
    sharing_radius: float = 4.0
    """Squared distance within which grasps share their fitness."""
    sharing_power: float = 2.0
    """How fast a neighbour counts less with its distance."""
    tournament: int = 4
    """Grasps that compete to be a parent."""
    batch: int = 16
    """Children that are simulated before the archive is asked again."""
    redraws: int = 10
    """How often a child is drawn anew that is born into the niche of a grasp which holds, before it is simulated (ours)."""
    crossover: float = 0.2
    """Probability that a child mixes two parents."""
    position_step: float = 0.005
    """Standard deviation of mutations of the root [m]."""
    angle_step: float = 3.0
    """Standard deviation of mutations of the root [deg]."""
    joint_step: float = 0.04
    """Standard deviation of mutations of a joint, as a share of its range."""
    reopen: float = 0.35
    """How far a child opens its fingers, as a share of the way from the opening pose to the closed hand, before it comes
    forward until it touches the object and closes every joint until a link of it touches (ours); 0 leaves it as it is born."""
    settle_steps: int = 15
    """Damped least-squares steps that bring a child's contacts onto the object before it is simulated (ours); 0 leaves it as it
    is born, and the squeeze to the closing motion, as published."""
    distance_weight: float = 10.0
    """Loss of fitness by the mean distance of the contacts [1/m]."""
    penetration_weight: float = 20.0
    """Loss of fitness by the depth of the start in the simulator, of the hand in the object and in itself [1/m]."""

    def __post_init__(self) -> None:
        at_least_one = NumberRange(lower=1.0)
        scales = (
            "position_scale",
            "angle_scale",
            "joint_scale",
            "threshold",
            "sharing_radius",
            "sharing_power",
        )
        check_numbers(
            self,
            "evolution",
            tournament=at_least_one,
            batch=at_least_one,
            crossover=NumberRange(upper=1.0),
            reopen=NumberRange(upper=1.0),
            redraws=NumberRange(lower=0.0),
            **dict.fromkeys(scales, POSITIVE),
        )


@dataclass(frozen=True, eq=False)
class Genomes:
    """``N`` root poses [N, 7] (position, xyzw) and joints [N, J]."""

    root: FloatArray
    joints: FloatArray

    def __len__(self) -> int:
        """Number of genomes."""
        return len(self.root)

    def select(self, index: NDArray[np.int64] | list[int]) -> Genomes:
        """Some of the genomes."""
        return Genomes(self.root[index], self.joints[index])

    def joined(self, other: Genomes) -> Genomes:
        """These and others."""
        return Genomes(np.concatenate([self.root, other.root]), np.concatenate([self.joints, other.joints]))


def genome_distance(one: Genomes, all_of: Genomes, config: EvolutionConfig) -> FloatArray:
    """Squared distances of one genome to others [N], in units of the scales."""
    way = np.sum((all_of.root[:, :3] - one.root[0, :3]) ** 2, axis=1) / config.position_scale**2
    cosine = np.clip(np.abs(all_of.root[:, 3:] @ one.root[0, 3:]), 0.0, 1.0)
    turn = np.degrees(2.0 * np.arccos(cosine)) ** 2 / config.angle_scale**2
    joints = np.mean((all_of.joints - one.joints[0]) ** 2, axis=1) / config.joint_scale**2
    return np.asarray(way + turn + joints)


@dataclass(eq=False)
class Archive:
    """Members with their fitness, and a label each by which the caller knows them."""

    config: EvolutionConfig
    genomes: Genomes | None = None
    fitness: FloatArray = field(default_factory=lambda: np.zeros(0))
    label: list[int] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    """Whether each member passes all trials."""

    def insert(self, genome: Genomes, fitness: float, label: int, held: bool = False) -> bool:
        """Offer one genome; whether it was taken."""
        if self.genomes is None or not len(self.genomes):
            self.genomes, self.fitness, self.label, self.held = genome, np.array([fitness]), [label], [held]
            return True
        distance = genome_distance(genome, self.genomes, self.config)
        nearest = int(np.argmin(distance))
        if distance[nearest] < self.config.threshold:
            if fitness <= self.fitness[nearest]:
                return False
            self.genomes.root[nearest], self.genomes.joints[nearest] = genome.root[0], genome.joints[0]
            self.fitness[nearest], self.label[nearest], self.held[nearest] = fitness, label, held
            return True
        self.genomes = self.genomes.joined(genome)
        self.fitness = np.append(self.fitness, fitness)
        self.label.append(label)
        self.held.append(held)
        return True

    def taken(self, genomes: Genomes) -> NDArray[np.bool_]:
        """Whether the nearest member of each genome is in its niche and holds, shape [N]."""
        result = np.zeros(len(genomes), dtype=bool)
        for i in range(len(genomes) if self.genomes is not None else 0):
            assert self.genomes is not None
            distance = genome_distance(genomes.select([i]), self.genomes, self.config)
            nearest = int(np.argmin(distance))
            result[i] = distance[nearest] < self.config.threshold and self.held[nearest]
        return result

    def shared_fitness(self) -> FloatArray:
        """Fitness over the number of neighbours [N]; a neighbour at distance d counts ``1 - (d / radius)^power``."""
        if self.genomes is None:
            return np.zeros(0)
        radius, power = self.config.sharing_radius, self.config.sharing_power
        result = np.maximum(self.fitness, _LEAST_FITNESS)
        for i in range(len(result)):
            distance = genome_distance(self.genomes.select([i]), self.genomes, self.config)
            near = np.clip(distance / radius, 0.0, 1.0) ** power
            result[i] /= np.sum(1.0 - near)
        return result

    def parents(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Winners of ``count`` tournaments on shared fitness."""
        shared = self.shared_fitness()
        entrants = random.integers(len(shared), size=(count, self.config.tournament))
        winner = np.argmax(shared[entrants], axis=1)
        return np.asarray(entrants[np.arange(count), winner])


def children_of(
    archive: Archive, count: int, lower: FloatArray, upper: FloatArray, random: np.random.Generator
) -> Genomes:
    """Mutated copies of parents, some of them mixtures of two; joints inside their limits [J].

    Raises:
        ValueError: The archive is empty.
    """
    if archive.genomes is None:
        raise ValueError("an archive without members has no children; insert the first grasps before")
    children = _born(archive, archive.genomes, count, upper - lower, random)
    for _ in range(archive.config.redraws):
        again = np.flatnonzero(archive.taken(children))
        if not len(again):
            break
        other = _born(archive, archive.genomes, len(again), upper - lower, random)
        children.root[again], children.joints[again] = other.root, other.joints
    return Genomes(children.root, np.clip(children.joints, lower, upper))


def _born(
    archive: Archive, genomes: Genomes, count: int, span: FloatArray, random: np.random.Generator
) -> Genomes:
    """Children of tournament winners, wherever they come to lie; ``span`` is the range of every joint [J]."""
    config = archive.config
    first, second = archive.parents(count, random), archive.parents(count, random)
    root, joints = genomes.root[first].copy(), genomes.joints[first].copy()
    mixes = random.uniform(size=count) < config.crossover
    share = random.uniform(size=count)
    for i in np.flatnonzero(mixes):
        other = genomes.root[second[i]]
        root[i, :3] += share[i] * (other[:3] - root[i, :3])
        turn = Rotation.from_quat(root[i, 3:]).inv() * Rotation.from_quat(other[3:])
        root[i, 3:] = (
            Rotation.from_quat(root[i, 3:]) * Rotation.from_rotvec(share[i] * turn.as_rotvec())
        ).as_quat()
        taken = random.uniform(size=joints.shape[1]) < share[i]
        joints[i, taken] = genomes.joints[second[i], taken]
    root[:, :3] += config.position_step * random.normal(size=(count, 3))
    turn = Rotation.from_rotvec(np.radians(config.angle_step) * random.normal(size=(count, 3)))
    root[:, 3:] = (Rotation.from_quat(root[:, 3:]) * turn).as_quat()
    joints += config.joint_step * span * random.normal(size=joints.shape)
    return Genomes(root, joints)
