"""What decides the grasps of a run, and what of it no object can repair."""

from __future__ import annotations

import dataclasses
from typing import Any

from warpgrasp.base.json_text import to_json
from warpgrasp.generate.options import GenerateOptions
from warpgrasp.hands import HandModel
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["check_hand", "settings_of"]


def settings_of(options: GenerateOptions, hand: HandModel) -> dict[str, Any]:
    """Everything that decides the grasps of an object, by option name; the device does not."""
    elsewhere: tuple[str, ...] = (
        "objects",
        "hand",
        "device",
        "out",
        "resume",
        "list_methods",
        "usd",
        "workers",
        "energy_names",
        "optimizer_name",
        "sizes",  # each is an object of its own
        "reading",
    )
    if not options.valid_only:
        elsewhere = (*elsewhere, "valid_only", "protocol", "budget")
    names = [entry.name for entry in dataclasses.fields(options) if entry.name not in elsewhere]
    cli_names = {"contact_count": "contacts", "grasp_count": "grasps", "step_count": "steps"}
    cli_names["sample_count"] = "samples"
    settings = {"hand": hand.name, "hand_hash": hand.asset_hash, "energy_preset": options.energy_name}
    settings["optimizer_preset"] = options.optimizer_title
    settings.update(options.reading.changes())
    settings.update({cli_names.get(name, name): to_json(getattr(options, name)) for name in names})
    return settings


def check_hand(hand: HandModel, config: SynthesisConfig) -> None:
    """Refuse what no object can repair, before the first one is loaded."""
    if config.grasp_type not in hand.grasp_types:
        known = ", ".join(hand.grasp_types)
        raise ValueError(
            f"--grasp-type of hand {hand.name} must be one of {known} (got {config.grasp_type!r})"
        )
    candidates = len(hand.contact_candidates(config.grasp_type).link)
    if not 1 <= config.contact_count <= candidates:
        raise ValueError(
            f"--contacts must be in [1, {candidates}], the candidate points of hand {hand.name} for "
            f"{config.grasp_type} grasps (got {config.contact_count})"
        )
    if config.grasp_count < 1:
        raise ValueError(f"--grasps must be at least 1 (got {config.grasp_count})")
