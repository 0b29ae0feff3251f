"""Which links of a description are solid: collision shapes where a rigid part has some, else what one sees of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from warpgrasp.hands.convert.find_hand import name_parts
from warpgrasp.hands.convert.source import SourceJoint

__all__ = ["surface_kinds"]

_MARKERS = {"frame", "marker", "viz", "vis", "cable", "axis", "axes", "arrow", "debug", "site", "label"}


def surface_kinds(
    has: dict[str, tuple[bool, bool]],
    joints: Iterable[SourceJoint],
    *,
    visual: bool,
    ignore: frozenset[str],
    notes: list[str],
) -> dict[str, str]:
    """Which of a link's surfaces becomes solid: ``collision``, ``visual`` or none (an empty string).

    Links held together by fixed joints are one rigid part. Where one of them has a collision shape, those without are
    markers, covers or cables and not solid; a part without any takes what is visible.

    Args:
        has: For each link, whether it has collision and visual shapes.
        joints: All joints; only fixed ones are looked at.
        visual: Prefer what is visible.
        ignore: Links that are not solid in any case.
        notes: A sentence is added for links that are left out.
    """
    unknown = sorted(ignore - set(has))
    if unknown:
        raise ValueError(
            f"link '{unknown[0]}' is to be ignored, but there is none of that name; the links are {', '.join(has)}"
        )
    parts: dict[str, list[str]] = defaultdict(list)
    host = {name: name for name in has}
    fixed = [
        joint for joint in joints if joint.kind == "fixed" and joint.parent in has and joint.child in has
    ]
    for joint in fixed:
        old, new = host[joint.child], host[joint.parent]
        host = {name: new if owner == old else owner for name, owner in host.items()}
    for name in has:
        parts[host[name]].append(name)
    kinds: dict[str, str] = {}
    for members in parts.values():
        kinds |= _of_part([name for name in members if name not in ignore], has, visual, notes)
    return {name: kinds.get(name, "") for name in has}


def _of_part(
    members: list[str], has: dict[str, tuple[bool, bool]], visual: bool, notes: list[str]
) -> dict[str, str]:
    collides = [name for name in members if has[name][0]]
    seen = [name for name in members if has[name][1]]
    if collides:
        left_out = [name for name in seen if name not in collides]
        kinds = {name: "visual" if visual and has[name][1] else "collision" for name in collides}
    else:
        left_out = [name for name in seen if set(name_parts(name)) & _MARKERS]
        left_out = left_out if len(left_out) < len(seen) else []
        kinds = {name: "visual" for name in seen if name not in left_out}
    if left_out:
        listed = ", ".join(f"'{name}'" for name in left_out)
        notes.append(f"Not solid, because only visible beside links with collision shapes: {listed}.")
    return kinds
