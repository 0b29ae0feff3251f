"""What decides the numbers of an evaluation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.base.file_hash import file_hash
from warpgrasp.base.json_text import to_json
from warpgrasp.base.ranges import check_numbers
from warpgrasp.eval.engines.hand_file import find_hand_file, hand_file_label
from warpgrasp.eval.protocol.conditions import settings_name
from warpgrasp.eval.protocol.protocols import Protocol
from warpgrasp.eval.protocol.squeeze_rules import SqueezeRule
from warpgrasp.eval.results.case_result import result_key
from warpgrasp.grasps.case import GraspCase
from warpgrasp.hands import HandModel
from warpgrasp.objects.convex_pieces import ConvexPieceConfig

__all__ = ["EvaluationConfig"]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Everything that decides the numbers, beside the grasps and the engine."""

    protocol: Protocol
    forces: tuple[float, ...] = ()
    """Pushes [N]; the protocol's own when empty."""
    squeeze: SqueezeRule = SqueezeRule.TORQUE
    """Where squeeze targets come from."""
    squeeze_effort: float | None = None
    """With ``TORQUE``: rescale the squeeze to this fraction of the effort limit."""
    all_metrics: bool = False
    """Compute the slower metrics too."""
    hand_model: str | None = None
    """Model of the hand that is simulated in place of the one the grasps were made with: an MJCF file, a checkout of the MuJoCo
    Menagerie, or ``menagerie``; see :func:`warpgrasp.eval.engines.hand_file.find_hand_file`."""
    pieces: ConvexPieceConfig = dataclasses.field(default_factory=ConvexPieceConfig)
    """Decomposition of the objects."""

    def __post_init__(self) -> None:
        check_numbers(self, "")
        self.protocols()  # a protocol without a free force refuses one

    def protocols(self) -> tuple[Protocol, ...]:
        """The protocol at each force, each once."""
        if not self.forces:
            return (self.protocol,)
        return tuple(self.protocol.with_force(force) for force in dict.fromkeys(self.forces))

    def push_forces(self) -> tuple[float, ...]:
        """The pushes [N], each once, ascending."""
        return tuple(sorted(protocol.push_force for protocol in self.protocols()))

    def settings(self) -> dict[str, Any]:
        """What decides a verdict beside the push: results at several forces of equal settings belong together."""
        settings: dict[str, Any] = to_json(self)
        for name in ("forces", "all_metrics", "hand_model"):
            del settings[name]
        if self.hand_model is not None:
            settings["hand_model"] = self._hand_model_label()
        if self.protocol.force is not None:
            settings["protocol"]["force"] = "as given"
        return settings

    def settings_name(self, engine: str) -> str:
        """Name of the folder of results, see :func:`~warpgrasp.eval.protocol.conditions.settings_name`."""
        return settings_name(
            self.protocol, engine, self.squeeze, self.squeeze_effort, self._hand_model_label()
        )

    def _hand_model_label(self) -> str:
        return "" if self.hand_model is None else hand_file_label(self.hand_model)

    def settings_hash(self, engine: str) -> str:
        """Hash of :meth:`settings` and the engine."""
        return result_key({"settings": self.settings(), "engine": engine})

    def key(self, case: GraspCase, engine: str) -> str:
        """Hash by which a finished result is recognised, whatever its forces."""
        file = self.hand_file(case.hand)
        return result_key(
            {
                "settings": self.settings_hash(engine),
                "grasps": case.file_hash,
                "hand": case.hand.asset_hash if file is None else file_hash(file),
                "object": case.model.mesh_hash,
            }
        )

    def hand_sentence(self) -> str:
        """What stands beside the numbers where another model of the hand is simulated; empty where it is not."""
        return (
            ""
            if self.hand_model is None
            else f"; hand simulated as {self._hand_model_label()[5:]} describes it"
        )

    def hand_file(self, hand: HandModel) -> Path | None:
        """The file that :attr:`hand_model` names for a hand.

        Raises:
            ValueError: There is none.
        """
        return None if self.hand_model is None else find_hand_file(self.hand_model, hand)
