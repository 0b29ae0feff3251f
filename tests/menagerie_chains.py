"""Kinematics of three hands of the MuJoCo Menagerie as MuJoCo models of bodies and joints, for tests of the exports.

Published dimensions of the robots as the Menagerie (revision 2025) writes them, no geometry; joints in the order of the
document. Quaternions are wxyz here, as MuJoCo has them.
"""

from __future__ import annotations

from typing import Any

__all__ = ["TIP_BODY", "menagerie_model"]

Body = tuple[str, str, str, str, str]  # name, position, quaternion, joint, axis

TIP_BODY = {
    "allegro": ("ff_distal", "mf_distal", "rf_distal", "th_distal"),
    "shadow": ("ffdistal", "mfdistal", "rfdistal", "lfdistal", "thdistal"),
    "leap": ("if_ds", "mf_ds", "rf_ds", "th_ds"),
}
"""Last body of each finger, in the order of the fingers here."""

_ONE = "1 0 0 0"


def _allegro() -> tuple[str, list[list[Body]]]:
    def finger(name: str, position: str, quaternion: str) -> list[Body]:
        return [
            (f"{name}_base", position, quaternion, f"{name}j0", "0 0 1"),
            (f"{name}_proximal", "0 0 0.0164", _ONE, f"{name}j1", "0 1 0"),
            (f"{name}_medial", "0 0 0.054", _ONE, f"{name}j2", "0 1 0"),
            (f"{name}_distal", "0 0 0.0384", _ONE, f"{name}j3", "0 1 0"),
        ]

    thumb = [
        (
            "th_base", "-0.0182 0.019333 -0.045987", "0.477714 -0.521334 -0.521334 -0.477714", "thj0", "-1 0 0",
        ),
        ("th_proximal", "-0.027 0.005 0.0399", _ONE, "thj1", "0 0 1"),
        ("th_medial", "0 0 0.0177", _ONE, "thj2", "0 1 0"),
        ("th_distal", "0 0 0.0514", _ONE, "thj3", "0 1 0"),
    ]  # fmt: skip
    fingers = [
        finger("ff", "0 0.0435 -0.001542", "0.999048 -0.0436194 0 0"),
        finger("mf", "0 0 0.0007", _ONE),
        finger("rf", "0 -0.0435 -0.001542", "0.999048 0.0436194 0 0"),
        thumb,
    ]
    return '<body name="palm" quat="0 1 0 1">', fingers


def _shadow() -> tuple[str, list[list[Body]]]:
    def finger(name: str, position: str, side: str) -> list[Body]:
        return [
            (f"{name}knuckle", position, _ONE, f"rh_{name.upper()}J4", f"0 {side} 0"),
            (f"{name}proximal", "0 0 0", _ONE, f"rh_{name.upper()}J3", "1 0 0"),
            (f"{name}middle", "0 0 0.045", _ONE, f"rh_{name.upper()}J2", "1 0 0"),
            (f"{name}distal", "0 0 0.025", _ONE, f"rh_{name.upper()}J1", "1 0 0"),
        ]

    metacarpal = ("lfmetacarpal", "-0.033 0 0.02071", _ONE, "rh_LFJ5", "0.573576 0 0.819152")
    thumb = [
        ("thbase", "0.034 -0.00858 0.029", "0.92388 0 0.382683 0", "rh_THJ5", "0 0 -1"),
        ("thproximal", "0 0 0", _ONE, "rh_THJ4", "1 0 0"),
        ("thhub", "0 0 0.038", _ONE, "rh_THJ3", "1 0 0"),
        ("thmiddle", "0 0 0", _ONE, "rh_THJ2", "0 -1 0"),
        ("thdistal", "0 0 0.032", "1 0 0 -1", "rh_THJ1", "1 0 0"),
    ]
    fingers = [
        finger("ff", "0.033 0 0.095", "-1"),
        finger("mf", "0.011 0 0.099", "-1"),
        finger("rf", "-0.011 0 0.095", "1"),
        [metacarpal, *finger("lf", "0 0 0.06579", "1")],
        thumb,
    ]
    # The root is rh_wrist with its joints taken away.
    return '<body name="rh_palm" pos="0 0 0.034">', fingers


def _leap() -> tuple[str, list[list[Body]]]:
    def finger(name: str, position: str) -> list[Body]:
        return [
            (f"{name}_bs", position, "0.5 0.5 0.5 -0.5", f"{name}_mcp", "0 0 -1"),
            (f"{name}_px", "-0.0122 0.0381 0.0145", "0.5 -0.5 -0.5 0.5", f"{name}_rot", "0 0 -1"),
            (f"{name}_md", "0.015 0.0143 -0.013", "0.5 0.5 -0.5 0.5", f"{name}_pip", "0 0 -1"),
            (f"{name}_ds", "0 -0.0361 0.0002", _ONE, f"{name}_dip", "0 0 -1"),
        ]

    thumb = [
        ("th_mp", "-0.0693 -0.0012 -0.0216", "0.707107 0 0.707107 0", "th_cmc", "0 0 -1"),
        ("th_bs", "0 0.0143 -0.013", "0.5 0.5 -0.5 0.5", "th_axl", "0 0 -1"),
        ("th_px", "0 0.0145 -0.017", "0.707107 -0.707107 0 0", "th_mcp", "0 0 -1"),
        ("th_ds", "0 0.0466 0.0002", "0 0 0 1", "th_ipl", "0 0 -1"),
    ]
    fingers = [
        finger("if", "-0.007 0.023 -0.0187"),
        finger("mf", "-0.0071 -0.0224 -0.0187"),
        finger("rf", "-0.00709 -0.0678 -0.0187"),
        thumb,
    ]
    return '<body name="palm" pos="0 0 0.1" quat="0 1 0 0">', fingers


def menagerie_model(mujoco: Any, hand: str) -> Any:
    """MuJoCo model with a free root at the world frame of the Menagerie's model: qpos = x y z w x y z, joints."""
    palm, fingers = {"allegro": _allegro, "shadow": _shadow, "leap": _leap}[hand]()
    text = (
        '<mujoco><worldbody><body name="root"><freejoint/><geom size="0.01"/>' + palm + '<geom size="0.01"/>'
    )
    for finger in fingers:
        for name, position, quaternion, joint, axis in finger:
            text += f'<body name="{name}" pos="{position}" quat="{quaternion}">'
            text += f'<joint name="{joint}" axis="{axis}"/><geom size="0.01"/>'
        text += "</body>" * len(finger)
    return mujoco.MjModel.from_xml_string(text + "</body></body></worldbody></mujoco>")
