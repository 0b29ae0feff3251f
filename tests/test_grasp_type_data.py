"""Grasp types are data: a ``tip_pinch`` whose asset says what a pinch is gives the grasps of a pinch, bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from cases import example_objects

from warpgrasp.hands import HandModel, SeedPlace, hand_names, hand_path, load_hand, make_grasp_type
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

PINCH_DATA = """
        custom string[] warpgrasp:requiredFingers = ["index", "thumb"]
        custom token warpgrasp:seedPlace = "fingertips"
        custom double warpgrasp:resetThreshold = 0.5
"""


def with_grasp_type(folder: Path, data: str, name: str = "tip_pinch", like: str = "pinch") -> HandModel:
    """Allegro with one more grasp type, the patches and idle joints of another and further data."""
    path = folder / "hand.usda"
    path.write_text(
        f"""#usda 1.0
(
    defaultPrim = "allegro"
    metersPerUnit = 1
    kilogramsPerUnit = 1
    upAxis = "Z"
    subLayers = [@{hand_path("allegro")}@]
)
over "allegro" {{
    over "grasp_types" {{
        def Scope "{name}" (references = </allegro/grasp_types/{like}>) {{
            custom string warpgrasp:graspType = "{name}"
{data}
        }}
    }}
}}
"""
    )
    return load_hand(path)


def columns(hand: HandModel, grasp_type: str) -> dict[str, np.ndarray]:
    """Grasps of a short run with resets."""
    config = SynthesisConfig(
        grasp_type=grasp_type,
        grasp_count=4,
        step_count=70,
        contact_count=4,
        sample_count=100,
        device="cpu",
    )
    (grasps,) = synthesize(hand, example_objects(1), config)
    found = {"threshold": np.array(grasps.metadata["config"]["optimizer"]["reset_threshold"])}
    for entry in dataclasses.fields(grasps):
        if entry.name != "metadata":
            found[entry.name] = np.asarray(getattr(grasps, entry.name))
    return found


def test_a_type_of_any_name_is_what_its_data_says(tmp_path: Path) -> None:
    hand = with_grasp_type(tmp_path, PINCH_DATA)
    pinch, tip_pinch = columns(hand, "pinch"), columns(hand, "tip_pinch")
    assert pinch["threshold"] == 0.5
    for name, value in pinch.items():
        np.testing.assert_array_equal(tip_pinch[name], value, err_msg=name)


def test_without_data_the_name_decides(tmp_path: Path) -> None:
    """Assets and annotation files of before: power lets contacts lie anywhere, pinches start between the fingertips."""
    for name in hand_names():
        for kind, grasp_type in load_hand(name).grasp_types.items():
            required = () if kind == "power" else grasp_type.fingers
            place = SeedPlace.FINGERTIPS if kind == "pinch" else SeedPlace.WRIST
            threshold = 0.5 if kind == "pinch" else 0.8413
            found = (grasp_type.required_fingers, grasp_type.seed_place, grasp_type.reset_threshold)
            assert found == (required, place, threshold), (name, kind)
    stranger = with_grasp_type(tmp_path, "").grasp_types["tip_pinch"]
    assert (stranger.seed_place, stranger.reset_threshold) == (SeedPlace.WRIST, 0.8413)
    assert stranger.required_fingers == stranger.fingers


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            'custom string[] warpgrasp:requiredFingers = ["toe"]',
            "requires finger 'toe', none of whose patches",
        ),
        ('custom token warpgrasp:seedPlace = "elbow"', r"must be one of wrist, fingertips \(got 'elbow'\)"),
        ("custom double warpgrasp:resetThreshold = 0.2", r"must be in \[0\.5, 1\] \(got 0\.2\)"),
    ],
)
def test_impossible_data_is_refused(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_grasp_type(tmp_path, data)


def test_nothing_needs_to_touch_where_nothing_is_required() -> None:
    grasp_type = make_grasp_type("hook", ("a", "b"), ("one", "two"), {}, required_fingers=())
    assert grasp_type.required_fingers == ()
