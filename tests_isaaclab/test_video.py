"""Pictures of the environments by Newton's camera."""

import logging
import time

import numpy as np
import pytest
import torch
import warp as wp
from PIL import Image

from warpgrasp.eval.isaaclab.envs import configs
from warpgrasp.eval.isaaclab.first_start import (
    CompilationProgress,
    announce_first_start,
    show_compilation,
    without_adjoints,
)
from warpgrasp.eval.isaaclab.video import write_video


def test_the_camera_sees_hand_and_object_move(make):
    environment = make("WarpGrasp-Grasp-Robotiq2f140", num_envs=2, render_mode="rgb_array")
    environment.reset()
    first = environment.render()
    assert first.shape == (360, 480, 3)
    assert first.dtype == np.uint8
    assert (np.abs(first.astype(int) - first[0, 0]).sum(axis=2) > 30).mean() > 0.02  # more than background
    action = torch.ones(2, environment.cfg.action_space)
    for _ in range(5):
        environment.step(action)
    assert (np.abs(environment.render().astype(int) - first).sum(axis=2) > 30).any()


def test_a_video_has_its_frames(tmp_path):
    frames = [np.full((6, 8, 3), 40 * number, dtype=np.uint8) for number in range(4)]
    for suffix in (".webp", ".gif", ".png"):
        path = write_video(tmp_path / f"episode{suffix}", frames, seconds_per_frame=0.05)
        with Image.open(path) as image:
            assert (image.n_frames, image.size) == (4, (8, 6))
    with pytest.raises(ValueError, match=r"must end in .*got 'episode.mp4'"):
        write_video(tmp_path / "episode.mp4", frames, seconds_per_frame=0.05)
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "episode.gif", [], seconds_per_frame=0.05)


def test_a_first_start_says_that_kernels_are_compiled(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert announce_first_start(tmp_path)
    assert "compiled now" in caplog.text
    assert str(tmp_path) in caplog.text
    (tmp_path / "wp_mujoco_warp._src.forward_40e7ee7").mkdir()
    caplog.clear()
    assert not announce_first_start(tmp_path)
    assert not caplog.text


def test_environments_are_made_without_adjoints_and_the_users_choice_comes_back(monkeypatch):
    """Warp takes the setting when a module is created, which is when Newton and the environments are imported."""
    monkeypatch.setattr(wp.config, "enable_backward", True)
    seen = []

    class Environment:
        def __init__(self, cfg, render_mode):
            seen.append(wp.get_module("test_video_made").options["enable_backward"])
            raise RuntimeError

    monkeypatch.setattr(configs, "_module", lambda task: type("Module", (), {"GraspEnv": Environment}))
    with pytest.raises(RuntimeError):
        configs.make_environment(object(), task="Grasp", hand="allegro")
    assert seen == [False]
    assert wp.get_module("test_video_later").options["enable_backward"]
    monkeypatch.setattr(wp.config, "enable_backward", False)
    with without_adjoints():
        pass
    assert not wp.config.enable_backward


def test_what_is_compiled_is_said_while_it_lasts(caplog, capsys):
    """A real kernel that is in no cache; modules read from the cache and Warp's other messages are as before."""
    wp.init()
    before = wp.get_logger(), wp.config.quiet, wp.config.log_level
    wp.config.quiet, wp.config.log_level = True, wp.LOG_WARNING  # as Isaac Lab's import leaves them
    try:
        show_compilation()
        progress = wp.get_logger()
        assert isinstance(progress, CompilationProgress)
        wp.config.quiet = True  # as another program may make it
        show_compilation()
        assert wp.get_logger() is progress
        assert not wp.config.quiet
        wp.set_logger(CompilationProgress(before[0], period=0.0))
        number = time.time_ns() % 1_000_003  # another kernel in every run

        @wp.kernel(module="unique", enable_backward=False)
        def fresh(values: wp.array(dtype=float)):
            values[wp.tid()] = float(wp.static(number))

        for _ in range(2):
            with caplog.at_level(logging.WARNING):
                wp.launch(fresh, dim=1, inputs=[wp.zeros(1, device="cpu")], device="cpu")
        (line,) = [record.getMessage() for record in caplog.records if "Compiling" in record.getMessage()]
        assert line.startswith("Compiling the simulation's kernels: 1 modules so far, the last ")
        assert "__fresh_" in line
        wp.get_logger().info("  Module old 40e7ee7 load on device 'cpu' took 0.81 ms  (cached)")
        wp.get_logger().info("another message")
        assert capsys.readouterr().out == "another message\n"
    finally:
        wp.set_logger(before[0])
        wp.config.quiet, wp.config.log_level = before[1:]
