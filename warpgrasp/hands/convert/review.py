"""``python -m warpgrasp.hands.convert --review``: one page in a browser to look at what was guessed and to change it.

The page moves the joints by forward kinematics of its own, draws the patches by the rule of the annotation file (faces of a
link within an angle of a direction whose centre lies in a box), and saves the file. JSON is YAML, so what it saves is read
as it is.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from warpgrasp.base.atomic_file import write_text
from warpgrasp.base.web_page import filled_page, page_part, script_json, three_parts
from warpgrasp.hands.authoring.patch_mesh import free_faces
from warpgrasp.hands.convert.annotation_file import plain_sections
from warpgrasp.hands.convert.conversion import Conversion
from warpgrasp.hands.finger_colors import finger_color
from warpgrasp.hands.model import HandModel, JointType

__all__ = ["review_data", "write_review"]

_FAR = 10.0  # m


def write_review(path: Path, conversion: Conversion, link_names: Sequence[str]) -> Path:
    """Write the page.

    Args:
        path: Output file.
        conversion: The hand with its annotation and guesses.
        link_names: What the source file calls the links, shape [L]; the annotation speaks these names.
    """
    values = {
        "title": escape(f"Review of {conversion.hand.name}"),
        "style": _part("review.css"),
        "review": _part("review.js"),
        "data": script_json(review_data(conversion, link_names)),
        **three_parts(),
    }
    write_text(path, filled_page(_part("review.html"), values))
    return path


def review_data(conversion: Conversion, link_names: Sequence[str]) -> dict[str, Any]:
    """What the page knows: links with joints and surfaces, degrees of freedom, annotation, guesses."""
    hand = conversion.hand
    return {
        "name": hand.name,
        "links": [_link(hand, link, name) for link, name in enumerate(link_names)],
        "joints": [
            {"name": name, "lower": hand.dof_lower[dof], "upper": hand.dof_upper[dof]}
            for dof, name in enumerate(hand.joint_names)
        ],
        "annotation": _bounded(plain_sections(conversion.annotation)),
        "colors": {finger: finger_color(finger) for finger in conversion.annotation.fingers},
        "guesses": [
            {
                "topic": guess.topic,
                "value": guess.value,
                "reason": guess.reason,
                "confidence": guess.confidence,
            }
            for guess in conversion.guesses
        ],
        "warnings": list(conversion.warnings),
    }


def _link(hand: HandModel, link: int, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "parent": int(hand.link_parent[link]),
        "kind": JointType(int(hand.joint_type[link])).name.lower(),
        "axis": hand.joint_axis[link].tolist(),
        "parent_position": hand.joint_parent_position[link].tolist(),
        "parent_quaternion": hand.joint_parent_quaternion[link].tolist(),
        "child_position": hand.joint_child_position[link].tolist(),
        "child_quaternion": hand.joint_child_quaternion[link].tolist(),
        "dof": int(hand.joint_dof[link]),
        "multiplier": float(hand.joint_multiplier[link]),
        "offset": float(hand.joint_offset[link]),
        "corners": _floats(free_faces(hand.link_shapes(link))),
    }


def _bounded(value: Any) -> Any:
    """The same without infinite numbers, which JSON lacks: sides of a box that are open lie far outside."""
    if isinstance(value, dict):
        return {key: _bounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_bounded(entry) for entry in value]
    return math.copysign(_FAR, value) if isinstance(value, float) and math.isinf(value) else value


def _floats(values: ArrayLike) -> str:
    """Little-endian float32 in base64."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def _part(name: str) -> str:
    return page_part("warpgrasp.hands.convert", f"review_page/{name}")
