"""One environment at a time: Isaac Lab holds one simulation per process."""

import gymnasium
import pytest

import warpgrasp.eval.isaaclab  # noqa: F401


@pytest.fixture
def make():
    """``make(id, **options)``: the environment itself, closed when the test ends."""
    opened = []

    def _make(name, **options):
        environment = gymnasium.make(name, device="cpu", **options).unwrapped
        opened.append(environment)
        return environment

    yield _make
    for environment in opened:
        environment.close()
