"""Our hands and objects load with no warning that names them."""

import logging
import warnings

import pytest

from warpgrasp.hands import load_hand


@pytest.mark.parametrize(("task", "name"), [("Lift", "allegro"), ("Grasp", "robotiq_2f140")])
def test_no_warning_names_our_assets(make, capfd, caplog, task, name):
    import warpgrasp.eval.isaaclab as registration

    ids = {value: key for key, value in registration.environment_ids().items()}
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        environment = make(ids[task, name], num_envs=2)
        environment.reset()
        environment.step(environment.actions)
    printed = capfd.readouterr()
    # Isaac Lab prints its reports to stdout with this mark.
    lines = [
        line for line in (printed.out + printed.err).splitlines() if not line.startswith(("[INFO]", "\t"))
    ]
    lines += [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    lines += [str(item.message) for item in caught]
    hand = load_hand(name)
    scene = environment.cfg.scene
    objects = {part.usd_path for part in scene.object.spawn.assets_cfg}
    ours = {
        str(hand.path.parent),
        scene.hand.spawn.usd_path,
        "/Hand",
        "/Object",
        "/robot",
        "/object_",
        *hand.link_names,
    }
    ours |= objects
    named = [line for line in lines if any(mark in line for mark in ours)]
    named += [line for line in lines if "random_choice" in line]
    assert not named, "\n".join(named)
