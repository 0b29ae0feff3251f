"""``--valid-only``: synthesise and judge in rounds until every object has enough grasps that hold and differ.

A grasp is valid when its status is OK and it passes every trial of the protocol at the protocol's own force. Grasps with
another status are refused before anything is simulated. Grasps are different when they fall into different bins of the
unique grasp rate (``warpgrasp.eval.metrics.diversity``); of several in one bin the first counts, of a round the best.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.json_text import to_json
from warpgrasp.base.stage_clock import StageClock
from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.engines.registry import Engine, first_failures, load_engine, stops_at_failures
from warpgrasp.eval.metrics.diversity import unique_grasps
from warpgrasp.eval.protocol.conditions import protocol_sentence, squeeze_sentence
from warpgrasp.eval.protocol.protocols import find_protocol
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.objects.background_pieces import BackgroundPieces

if TYPE_CHECKING:
    from warpgrasp.generate.options import GenerateOptions
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["Judge", "round_seed"]

_STOPPED = "stopped_at_step"  # entry of the metadata of a synthesis that was asked to end
_NOT_JUDGED = "not needed"
_AT_ONCE = 8  # grasps; whatever the number of threads, so that results do not depend on it
_SPARE = 1.1  # of the grasps that the yield so far says are needed; rounding up spares more
_FEWEST = 4  # grasps of a round; a step costs something for any number
_SEED_STRIDE = (
    0x61C8864680B583EB  # odd and large: the rounds of a run never meet those of a run with a near seed
)


@dataclass
class _Found:
    """What became of one object so far."""

    model: ObjectModel
    kept: list[tuple[GraspSet, Verdict]] = field(default_factory=list)
    """Valid, different grasps, round by round."""
    empty: GraspSet | None = None
    """No grasp, with the metadata of the first round."""
    scene: Scene | None = None
    rounds: int = 0
    asked: int = 0
    """Grasps asked of the synthesis."""
    gained: int = 0
    """Valid, different grasps of the last round."""
    made: int = 0
    """Grasps synthesised."""
    held: int = 0
    """Valid grasps, with those like another."""
    lost: Counter[str] = field(default_factory=Counter)
    """The others by status or reason, as the tables write it."""

    stopped: dict[str, Any] = field(default_factory=dict)
    """Metadata of a round that was ended before its last step."""

    def stop(self, grasps: GraspSet) -> None:
        """Leave out a round that was ended before its last step, and say so."""
        self.stopped = {_STOPPED: grasps.metadata.get(_STOPPED, 0)}
        self.empty = self.empty if self.empty is not None else grasps.select(np.zeros(0, dtype=np.int64))

    def begin_round(self, grasps: GraspSet, refused: NDArray[np.int32]) -> None:
        """Count a round, and the statuses of its grasps that are not judged."""
        if self.empty is None:
            self.empty = grasps.select(np.zeros(0, dtype=np.int64))
        self.rounds += 1
        self.made += len(grasps)
        self.gained = 0
        self.lost.update(_words(GraspStatus(int(status)).name) for status in refused)

    def add(self, grasps: GraspSet, verdict: Verdict) -> None:
        """Keep those of some grasps, best first, that are valid and unlike what there is, and count the others."""
        held = verdict.success_all
        self.held += int(held.sum())
        self.lost.update(_words(FailureReason(int(reason)).name) for reason in verdict.reason[~held])
        index = np.flatnonzero(held)
        known = [part for part, _ in self.kept]
        columns = [
            np.concatenate([getattr(part, name) for part in (*known, grasps.select(index))])
            for name in ("root_position", "root_quaternion", "joint_position")
        ]
        first = unique_grasps(*columns) - len(self)
        index = index[first[first >= 0]]
        if len(index):
            own = {item.name: getattr(verdict, item.name)[index] for item in dataclasses.fields(Verdict)}
            self.kept.append((grasps.select(index), Verdict(**own)))
            self.gained += len(index)

    def next_count(self, wanted: int, whole: int, most: int) -> int:
        """Grasps to ask for next.

        Those that the yield so far says are needed and a tenth more, rounded up to a power of two so that objects go
        together; a whole round first, and after one that brought nothing. It depends on this object alone.

        Args:
            wanted: Valid, different grasps wanted.
            whole: Grasps of a whole round.
            most: Grasps that may be asked for in all.
        """
        count = whole
        if self.gained:
            share = len(self) / (self.made - self.lost[_NOT_JUDGED])
            needed = max(_SPARE * (wanted - len(self)) / share, _FEWEST)
            count = min(whole, 2 ** math.ceil(math.log2(needed)))
        return min(count, most - self.asked)

    def __len__(self) -> int:
        """Number of valid, different grasps."""
        return sum(len(part) for part, _ in self.kept)

    def sentence(self, wanted: int) -> str:
        """How many there are, out of how many, and why the others are none."""
        count, plural = min(len(self), wanted), "" if self.rounds == 1 else "s"
        lost = self.lost + Counter({"like another": self.held - len(self)})
        others = ", ".join(f"{number} {name}" for name, number in lost.most_common())
        return (
            f"{self.model.name}: {count} of {wanted} valid grasps from {self.made} in {self.rounds} round{plural}; "
            f"{self.held} hold ({100.0 * self.held / max(self.made - self.lost[_NOT_JUDGED], 1):.0f} %)"
            + (f"; not kept: {others}" if others else "")
        )


@dataclass(frozen=True)
class Judge:
    """Judges grasps by a protocol while they are made, and cuts their objects into convex pieces meanwhile.

    Raises:
        ValueError: A number out of range.
    """

    count: int
    """Valid, different grasps wanted per object."""
    budget: int
    """Whole rounds of the synthesis at most; a smaller one counts as the part of a round that it is."""
    config: EvaluationConfig
    """Protocol and squeeze."""
    engine: Engine
    workers: int = 0
    """Objects that are cut into convex pieces at a time; 0 takes all cores."""

    def __post_init__(self) -> None:
        if self.count < 1 or self.budget < 1:
            raise ValueError(
                f"--valid-only and --budget must be at least 1 (got {self.count} and {self.budget})"
            )

    @classmethod
    def of(cls, options: GenerateOptions, *, workers: int = 0) -> Judge:
        """What the command line asks for; the engine is MuJoCo on the CPU, by ``workers`` threads, and Newton on CUDA.

        Raises:
            ValueError: Unknown protocol or a number out of range.
            ImportError: The engine is not installed.
        """
        config = EvaluationConfig(protocol=find_protocol(options.protocol))
        engine = load_engine("auto", workers=workers, device=options.device)
        return cls(options.valid_only, options.budget, config, engine, workers)

    def sentence(self, hand: HandModel) -> str:
        """What is asked for, before it begins."""
        return (
            f"{self.count} valid grasps per object, in at most {self.budget} whole rounds; "
            f"{protocol_sentence(self.config.protocol, hand=hand.name)}; engine {self.engine.name}"
        )

    def valid_grasps(
        self,
        one_round: Callable[[int, list[ObjectModel], SynthesisConfig], list[GraspSet]],
        hand: HandModel,
        models: Sequence[ObjectModel],
        config: SynthesisConfig,
        *,
        clock: StageClock | None = None,
    ) -> list[GraspSet]:
        """Rounds of synthesis over the objects that lack grasps, each judged, until all have enough or the budget is spent.

        Args:
            one_round: Makes the grasps of a round, one set per object, of its number, its objects and its configuration;
                objects that lack very different numbers of grasps come in several calls of the same number.
            hand: The hand.
            models: The objects.
            config: Of a whole round; the first has its seed, the others seeds that follow from it.
            clock: Counts the stage ``judging``.

        Returns:
            Valid, different grasps of every object, round by round and best first within one; the metadata entry
            ``valid_only`` has the conditions, the verdict of every grasp, and what became of the others. A round that was ended
            before its last step counts for nothing, is the last, and its objects keep its entry ``stopped_at_step``.

        Raises:
            ValueError: The engine refuses the hand or an object.
            ImportError: CoACD is needed and not installed.
        """
        clock = clock or StageClock()
        found = [_Found(model) for model in models]
        with BackgroundPieces(self.config.pieces, workers=self.workers) as pieces:
            for model in models:
                pieces.begin(model)
            self._rounds(one_round, hand, found, config, clock, pieces)
        return [self._finished(entry, hand) for entry in found]

    def _rounds(
        self,
        one_round: Callable[[int, list[ObjectModel], SynthesisConfig], list[GraspSet]],
        hand: HandModel,
        found: list[_Found],
        config: SynthesisConfig,
        clock: StageClock,
        pieces: BackgroundPieces,
    ) -> None:
        """Synthesise and judge until all have enough or the budget is spent."""
        whole, most = config.grasp_count, self.budget * config.grasp_count
        for number in itertools.count():
            by_count: dict[int, list[_Found]] = {}
            for entry in found:
                if len(entry) < self.count and entry.asked < most:
                    by_count.setdefault(entry.next_count(self.count, whole, most), []).append(entry)
            if not by_count:
                return
            for count, lacking in sorted(by_count.items()):
                own = dataclasses.replace(config, seed=round_seed(config.seed, number), grasp_count=count)
                sets = one_round(number, [entry.model for entry in lacking], own)
                if any(_STOPPED in grasps.metadata for grasps in sets):
                    for entry, grasps in zip(lacking, sets, strict=True):
                        entry.stop(grasps)
                    for entry in found:  # those of other calls have not got what they were to have either
                        if len(entry) < self.count and entry.asked < most:
                            entry.stopped = entry.stopped or dict(lacking[0].stopped)
                    return
                with clock.stage("judging"):
                    for entry, grasps in zip(lacking, sets, strict=True):
                        entry.asked += count
                        self._judge_round(entry, hand, grasps, pieces)

    def _judge_round(
        self, entry: _Found, hand: HandModel, grasps: GraspSet, pieces: BackgroundPieces
    ) -> None:
        """Keep what is valid and unlike what there is, and count the rest.

        Grasps whose status is not OK are not simulated. The others are judged best first; an engine that stops at failures
        gains nothing from many at once, and judges no more of them once there are enough.
        """
        ok = grasps.status == GraspStatus.OK
        entry.begin_round(grasps, grasps.status[~ok])
        order = grasps.order()
        index = order[ok[order]]
        together = _AT_ONCE if stops_at_failures(self.engine) else max(len(index), 1)
        for start in range(0, len(index), together):
            if len(entry) >= self.count:
                entry.lost[_NOT_JUDGED] += len(index) - start
                break
            part = grasps.select(index[start : start + together])
            entry.add(part, self._verdict(entry, hand, part, pieces))

    def _verdict(self, entry: _Found, hand: HandModel, grasps: GraspSet, pieces: BackgroundPieces) -> Verdict:
        if entry.scene is None:
            own = pieces.pieces(entry.model)
            entry.scene = build_scene(hand, entry.model, own, self.config.protocol)
        targets = hand_targets(
            hand,
            grasps,
            stiffness=entry.scene.drives.stiffness,
            rule=self.config.squeeze,
            squeeze_effort=self.config.squeeze_effort,
            effort=entry.scene.drives.effort,
        )
        return first_failures(self.engine, entry.scene, targets)

    def _finished(self, entry: _Found, hand: HandModel) -> GraspSet:
        """The grasps of all rounds with what was said about them, at most as many as wanted."""
        assert entry.empty is not None  # there was one round at least
        said: dict[str, Any] = {
            "sentence": entry.sentence(self.count),
            "protocol": self.config.protocol.name,
            "conditions": protocol_sentence(self.config.protocol, hand=hand.name),
            "force": self.config.protocol.push_force,
            "engine": self.engine.name,
            "squeeze": squeeze_sentence(self.config.squeeze, self.config.squeeze_effort),
            "trial_names": list(self.config.protocol.trial_names),
            "wanted": self.count,
            "rounds": entry.rounds,
            "made": entry.made,
            "held": entry.held,
            "lost": dict(entry.lost.most_common()),
        }
        metadata = {**entry.empty.metadata, "valid_only": said, **entry.stopped}
        if not entry.kept:
            return dataclasses.replace(entry.empty, metadata=metadata)
        chosen = GraspSet.concatenate([part for part, _ in entry.kept]).select(
            np.arange(min(len(entry), self.count))
        )
        verdict = Verdict.concatenate([own for _, own in entry.kept])
        for name in ("displacement", "rotation", "effort_ratio"):
            said[name] = to_json(np.round(getattr(verdict, name)[: len(chosen)], 6).tolist())
        return dataclasses.replace(chosen, metadata=metadata)


def round_seed(seed: int, number: int) -> int:
    """Seed of a round; the first has the seed of the run."""
    return (seed + number * _SEED_STRIDE) % 2**63


def _words(name: str) -> str:
    """A status or a reason as the tables write it."""
    return name.lower().replace("_", " ")
