"""How far a held box creeps, for the contact settings of MuJoCo and of MuJoCo Warp, the solver of Newton and Isaac Lab.

python benchmarks/contact_settings.py [--warp]

Two pads on servos press a 100 g box with 5 N each; friction 0.6, so that they could carry six times its weight. Printed
are the way that the box slides down in the second second, and the force that a pad presses with.
"""

from __future__ import annotations

import dataclasses
import time

import mujoco
import numpy as np
import tyro
from machine import machine_name

from warpgrasp.base.warp_messages import quiet_warp

SCENE = """
<mujoco>
  <option timestep="{step}" cone="{cone}" impratio="{impratio}" noslip_iterations="{noslip}" integrator="implicitfast"/>
  <default><geom friction="{friction} 0.005 0.0001" solref="{time_constant} 1"/></default>
  <worldbody>
    <body name="left" pos="-0.0301 0 0.3">
      <joint name="left" type="slide" axis="1 0 0" damping="1"/><geom type="box" size="0.01 0.01 0.01" mass="0.05"/>
    </body>
    <body name="right" pos="0.0301 0 0.3">
      <joint name="right" type="slide" axis="-1 0 0" damping="1"/><geom type="box" size="0.01 0.01 0.01" mass="0.05"/>
    </body>
    <body name="box" pos="0 0 0.3"><freejoint/><geom type="box" size="0.02 0.02 0.02" mass="0.1"/></body>
  </worldbody>
  <actuator>
    <position joint="left" kp="{kp}" ctrlrange="-1 1"/><position joint="right" kp="{kp}" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""
FORCE = 5.0  # N of each pad


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Measure creep."""

    warp: bool = False
    """MuJoCo Warp too; its kernels are compiled first, which takes minutes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One row."""

    cone: str = "pyramidal"
    impratio: float = 1.0
    noslip: int = 0
    step: float = 0.002
    time_constant: float = 0.02
    kp: float = 1000.0
    friction: float = 0.6


SETTINGS = (
    Setting(),
    Setting(impratio=10.0),
    Setting(impratio=100.0),
    Setting(cone="elliptic"),
    Setting(cone="elliptic", impratio=10.0),
    Setting(cone="elliptic", impratio=100.0),
    Setting(cone="elliptic", impratio=10.0, noslip=10),
    Setting(cone="elliptic", impratio=10.0, time_constant=0.005),
    Setting(cone="elliptic", impratio=10.0, step=0.004),
    Setting(cone="elliptic", impratio=10.0, kp=100.0),
    Setting(cone="elliptic", impratio=10.0, kp=20.0),
)


def scene(setting: Setting) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """Model and data, the servos aimed so that each presses with 5 N."""
    model = mujoco.MjModel.from_xml_string(SCENE.format(**dataclasses.asdict(setting)))
    data = mujoco.MjData(model)
    data.ctrl[:] = FORCE / setting.kp + 1e-4
    return model, data


def in_mujoco(setting: Setting) -> tuple[float, float]:
    """Creep [m/s] and the force of a pad at the end [N]."""
    model, data = scene(setting)
    heights = []
    for _ in range(2):
        mujoco.mj_step(model, data, round(1.0 / setting.step))
        heights.append(float(data.body("box").xpos[2]))
    return heights[0] - heights[1], float(data.actuator_force[0])


def in_mujoco_warp(setting: Setting) -> tuple[float, float]:
    """The same in MuJoCo Warp."""
    import mujoco_warp

    model, data = scene(setting)
    mujoco.mj_forward(model, data)
    model_on_device, data_on_device = (
        mujoco_warp.put_model(model),
        mujoco_warp.put_data(model, data, nconmax=64, njmax=256),
    )
    heights = []
    for _ in range(2):
        for _ in range(round(1.0 / setting.step)):
            mujoco_warp.step(model_on_device, data_on_device)
        heights.append(float(data_on_device.xpos.numpy()[0, 3, 2]))
    return heights[0] - heights[1], float(data_on_device.actuator_force.numpy()[0, 0])


def main() -> None:
    """Print a row per setting."""
    options = tyro.cli(Options)
    quiet_warp()
    print(machine_name())
    print(
        "cone       impratio noslip  step  contact     kp   creep um/s   pad N"
        + ("   Warp: creep  pad" if options.warp else "")
    )
    for setting in SETTINGS:
        creep, force = in_mujoco(setting)
        row = (
            f"{setting.cone:10s} {setting.impratio:8g} {setting.noslip:6d} {1e3 * setting.step:3g} ms "
            f"{1e3 * setting.time_constant:5g} ms {setting.kp:6g} {1e6 * creep:12.2f} {force:7.2f}"
        )
        if options.warp and not setting.noslip:  # MuJoCo Warp has no such iterations
            start = time.process_time()
            creep, force = in_mujoco_warp(setting)
            row += f" {1e6 * creep:14.2f} {force:5.2f}   ({time.process_time() - start:.0f} s)"
        print(row, flush=True)


if __name__ == "__main__":
    np.set_printoptions(precision=3)
    main()
