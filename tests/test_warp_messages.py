"""Commands and library calls are quiet; what Warp has to say about real errors is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = "SynthesisConfig(grasp_count=1, contact_count=3, step_count=1, sample_count=20, device='cpu')"


def _run(code: str, folder: Path) -> tuple[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_library_calls_print_nothing_and_leave_the_level_as_it_was(tmp_path: Path) -> None:
    code = f"""
from warpgrasp import SynthesisConfig, load_hand, load_object, synthesize
from warpgrasp.grasps.gallery import best_tiles, write_gallery
from warpgrasp.objects import example_object_path
hand, mug = load_hand("robotiq_2f140"), load_object(example_object_path("mug"))
sets = synthesize(hand, [mug], {SMALL})
write_gallery("gallery.png", best_tiles(sets, hand, [mug], count=1))
import warp as wp
assert wp.config.log_level == wp.LOG_INFO
"""
    assert _run(code, tmp_path) == ("", "")


def test_a_level_of_the_caller_is_respected(tmp_path: Path) -> None:
    code = f"""
import warp as wp
wp.config.log_level = wp.LOG_DEBUG
from warpgrasp import SynthesisConfig, load_hand, load_object, synthesize
from warpgrasp.objects import example_object_path
synthesize(load_hand("robotiq_2f140"), [load_object(example_object_path("mug"))], {SMALL})
assert wp.config.log_level == wp.LOG_DEBUG
"""
    output, errors = _run(code, tmp_path)
    assert "Devices:" in output + errors


def test_commands_keep_warp_out_of_their_output(tmp_path: Path) -> None:
    code = """
import sys, warpgrasp.generate.__main__ as generate, warpgrasp.export.__main__ as export
arguments = ["mug", "--grasps", "1", "--steps", "1", "--contacts", "3", "--device", "cpu", "--out", "out"]
assert generate.main(arguments) == 0
assert export.main(["out", "--format", "usd", "--every-status", "-o", "usd"]) == 0
"""
    output, errors = _run(code, tmp_path)
    assert errors == ""
    assert "Devices:" not in output
    assert "took" not in output


def test_other_messages_of_the_start_are_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import warp as wp

    from warpgrasp.base import warp_messages

    def init() -> None:
        os.write(2, b"Warp CUDA warning: Could not find or load the NVIDIA CUDA driver. GPU execution ...\n")
        os.write(2, b"Warp CUDA error: the driver is too old\n")
        raise RuntimeError("Warp initialization failed")

    monkeypatch.setattr(wp, "init", init)
    with pytest.raises(RuntimeError, match="initialization failed"):
        warp_messages._initialize.__wrapped__()
    assert capfd.readouterr().err == "Warp CUDA error: the driver is too old\n"
