"""The drives of the shipped hands in MuJoCo, at the evaluation's 200 Hz: stable, damped, and strong enough to get there.

Every hand is exported as MJCF, hangs by its root in gravity and is sent from the opening pose to the middle of its range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.hands.export.mjcf import write_mjcf

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")

OVERSHOOT = 0.03  # rad
SETTLED = 0.02  # rad from the target
SETTLING_TIME = 0.1  # s after a command that moves at the joint's velocity limit has arrived
STEADY_ERROR = 1e-3  # rad beyond what gravity and friction take at the drive's stiffness
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Motion:
    """What the independent joints did: positions [T, J], and the state at the end."""

    hand: HandModel
    time: FloatArray
    position: FloatArray
    end_velocity: FloatArray
    holding_torque: FloatArray
    """What gravity asks of each drive at the end, followers included [Nm], shape [J]."""
    warning_count: int

    @property
    def target(self) -> FloatArray:
        """Middle of the range, shape [J]."""
        return np.asarray(0.5 * (self.hand.dof_lower + self.hand.dof_upper))


@pytest.fixture(scope="module", params=hand_names())
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[HandModel, Any]:
    hand = load_hand(request.param)
    model = mujoco.MjModel.from_xml_path(str(write_mjcf(hand, tmp_path_factory.mktemp(hand.name))))
    model.opt.timestep = max(protocol.time_step for protocol in PROTOCOLS.values())
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    return hand, model


def move(hand: HandModel, model: Any, *, at_once: bool, contacts: bool, rest: float = 0.5) -> Motion:
    """Send all joints to the middle of their ranges, at once or at their velocity limits, and wait."""
    off = int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    model.opt.disableflags = model.opt.disableflags & ~off if contacts else model.opt.disableflags | off
    data = mujoco.MjData(model)
    for name, value in hand.expand_joint_position(hand.dof_opening).items():
        data.qpos[model.joint(name).qposadr[0]] = value
    address = [model.joint(name).qposadr[0] for name in hand.joint_names]
    change = 0.5 * (hand.dof_lower + hand.dof_upper) - hand.dof_opening
    duration = 0.0 if at_once else float((np.abs(change) / hand.dof_velocity).max())
    time = model.opt.timestep * np.arange(1, round((duration + rest) / model.opt.timestep) + 1)
    position = []
    for now in time:
        share = np.abs(change) if at_once else np.minimum(np.abs(change), now * hand.dof_velocity)
        data.ctrl[:] = hand.dof_opening + np.sign(change) * share
        mujoco.mj_step(model, data)
        position.append(data.qpos[address].copy())
    torque = np.zeros(hand.dof_count)
    for link, name in enumerate(hand.link_joint_names):
        if name:
            own = abs(float(data.qfrc_bias[model.joint(name).dofadr[0]] * hand.joint_multiplier[link]))
            torque[hand.joint_dof[link]] += own
    return Motion(
        hand=hand,
        time=time,
        position=np.array(position),
        end_velocity=data.qvel.copy(),
        holding_torque=torque,
        warning_count=sum(int(warning.number) for warning in data.warning),
    )


@pytest.mark.parametrize("contacts", [False, True], ids=["alone", "self_collision"])
@pytest.mark.parametrize("at_once", [False, True], ids=["ramp", "jump"])
def test_no_drive_blows_up(exported: tuple[HandModel, Any], at_once: bool, contacts: bool) -> None:
    """A command that jumps saturates the motors; even then nothing rattles on."""
    motion = move(*exported, at_once=at_once, contacts=contacts, rest=1.0)
    assert motion.warning_count == 0
    assert np.all(np.isfinite(motion.position))
    assert np.abs(motion.end_velocity).max() < 0.1


def test_drives_settle(exported: tuple[HandModel, Any]) -> None:
    motion = move(*exported, at_once=False, contacts=False)
    change = motion.target - motion.hand.dof_opening
    beyond = (motion.position - motion.target) * np.sign(change)
    assert beyond.max() < OVERSHOOT
    arrival = np.abs(change) / motion.hand.dof_velocity
    late = motion.time[:, None] > arrival + SETTLING_TIME
    assert np.abs(motion.position - motion.target)[late].max() < SETTLED


def test_drives_arrive(exported: tuple[HandModel, Any]) -> None:
    """Every motor holds the hand against gravity, and the error left is what its stiffness allows."""
    motion = move(*exported, at_once=False, contacts=False)
    hand = motion.hand
    assert np.all(motion.holding_torque < hand.dof_effort)
    allowed = (motion.holding_torque + hand.dof_friction) / hand.dof_stiffness + STEADY_ERROR
    assert np.all(np.abs(motion.position[-1] - motion.target) < allowed)
