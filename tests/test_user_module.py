"""Energies and optimisers of the user's own on the command line, from a module in the current directory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from generate_shell import SMALL, Shell, make_shell

from warpgrasp.base.user_module import load_reference

MODULE = '''
from dataclasses import dataclass

@dataclass(frozen=True)
class SoftTouch:
    """Costs a user something."""

    weight: float = 2.0
    """Factor in the total."""
    margin: float = 0.01

    def launch_taped(self, problem, state, energy):
        pass

@dataclass(frozen=True)
class Walk:
    length: float = 0.5

    def init(self, problem, seeds, resets, *, step_count): ...
    def step(self, problem, state): ...
    def reset_count(self, step_count):
        return 0

class Demanding:
    def __init__(self, weight):
        self.weight = weight

class NoTerm:
    pass

walk = Walk(length=3.0)
'''


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    (tmp_path / "mine_for_this_test.py").write_text(MODULE)
    (tmp_path / "broken_for_this_test.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield make_shell(tmp_path, monkeypatch)
    for name in ("mine_for_this_test", "broken_for_this_test"):
        sys.modules.pop(name, None)


def test_terms_join_a_preset_and_their_values_are_options(shell: Shell) -> None:
    words = "--energy dexgraspnet --energy mine_for_this_test:SoftTouch --energy.extra.soft-touch.margin 0.02"
    assert shell(shell.mesh("a.stl"), *SMALL, *words.split()) == 0, shell.output
    (config,) = shell.synthesis.configs
    assert config.energy.force_closure.weight == 0.0, "the preset's"
    assert list(config.energy.active_terms())[-1] == "soft_touch"
    assert (config.energy.extra["soft_touch"].weight, config.energy.extra["soft_touch"].margin) == (2.0, 0.02)
    settings = json.loads((shell.folder / "out" / "config.json").read_text())["settings"]
    assert settings["energy_preset"] == "dexgraspnet + mine_for_this_test:SoftTouch"
    assert settings["energy"]["extra"] == {"soft_touch": {"type": "SoftTouch", "weight": 2.0, "margin": 0.02}}

    again = words.replace("0.02", "0.03")
    assert shell(shell.mesh("a.stl"), *SMALL, *again.split()) == 2, "another value is another configuration"
    assert "--energy.extra.soft-touch.margin: 0.02 there, 0.03 now" in shell.output


def test_an_optimiser_by_class_or_instance(shell: Shell) -> None:
    assert (
        shell(
            shell.mesh("a.stl"),
            *SMALL,
            "--optimizer",
            "mine_for_this_test:Walk",
            "--optimizer.length",
            "2",
        )
        == 0
    )
    assert shell(shell.mesh("a.stl"), *SMALL, "--out", "other", "--optimizer", "mine_for_this_test:walk") == 0
    assert [config.optimizer.length for config in shell.synthesis.configs] == [2.0, 3.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--energy", "no_such_file:Term"], "there is no module no_such_file in the current directory"),
        (["--energy", "mine_for_this_test.part:Term"], "there is no module mine_for_this_test.part"),
        (
            ["--energy", "mine_for_this_test:Other"],
            "module mine_for_this_test has no Other; it has SoftTouch, Walk",
        ),
        (
            ["--energy", "broken_for_this_test:Term"],
            "cannot be imported (ModuleNotFoundError: No module named 'no_such_module_anywhere')",
        ),
        (["--energy", "mine for this:Term"], "must look like my_module:Name (got 'mine for this:Term')"),
        (["--energy", "mine_for_this_test:Demanding"], "give every hyper-parameter a default"),
        (["--energy", "mine_for_this_test:NoTerm"], "must be an object with a number weight and a method"),
        (
            ["--energy", "mine_for_this_test:SoftTouch", "--energy", "mine_for_this_test:SoftTouch"],
            "there is a term soft_touch already",
        ),
        (["--optimizer", "mine_for_this_test:SoftTouch"], "has no method init; the contract stands in"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(shell: Shell, arguments: list[str], message: str) -> None:
    assert shell(shell.mesh("a.stl"), *SMALL, *arguments) == 2
    assert message in shell.output
    assert len(shell.output.strip().splitlines()) == 1


def test_a_reference_finds_what_is_on_the_path() -> None:
    assert load_reference("json:dumps", "--energy") is json.dumps
