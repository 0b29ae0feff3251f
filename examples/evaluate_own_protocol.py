"""Test grasps under a protocol of your own.

The protocols that are shipped come from papers. This script writes another one: a hand picks up a light object and carries
it for two seconds while gravity acts along one axis of the object. It synthesises a few grasps, tests them in MuJoCo under
this protocol and under ``graspqp``, and prints which hold and why the others do not. Needs the extra ``sim``.

    python examples/evaluate_own_protocol.py out/protocol
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from warpgrasp import SynthesisConfig, load_hand, load_object, synthesize
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.evaluation import evaluate_case
from warpgrasp.eval.protocol.protocols import Drive, Protocol, Push, RootMount, Trial, graspqp
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.grasps.case import load_case
from warpgrasp.objects import example_object_path

# The protocol
CLOSING_TIME = 0.4  # s for each of the two legs pregrasp -> grasp -> squeeze
CARRIED = 2.0 * CLOSING_TIME + 2.0  # s after the reset

pick_up = Protocol(
    name="pick-up",
    trials=tuple(
        Trial(
            name=name,
            duration=CARRIED,
            pushes=(Push(start=2.0 * CLOSING_TIME, end=CARRIED, direction=direction),),
        )
        for name, direction in (("upright", (0.0, 0.0, -1.0)), ("lying", (-1.0, 0.0, 0.0)))
    ),
    force=None,
    acceleration=9.81,  # m/s^2: the push is the object's weight
    closing_time=CLOSING_TIME,
    position_limit=0.05,  # m that the centre of mass may move
    object_mass=0.15,  # kg
    friction=0.7,
    root=RootMount.WELD,  # the hand moves from the pregrasp to the grasp
    drive=Drive(stiffness=20.0),  # Nm/rad; the rest is that of the hand asset
    time_step=0.004,
    contact_time_constant=0.008,
    impedance_ratio=10.0,
)
# End of the protocol


def evaluate(grasp_file: Path, protocol: Protocol) -> CaseResult:
    """The result of the grasps of a file under a protocol, in MuJoCo on all cores."""
    return evaluate_case(load_case(grasp_file), EvaluationConfig(protocol=protocol), load_engine("mujoco"))


def describe(result: CaseResult, protocol: Protocol) -> None:
    """Print what was tested, what held, and why the rest did not."""
    print(protocol.sentence())
    success = np.asarray(result.columns["trial_success"])[:, 0]  # [N, T] at the only force
    for trial, held in zip(protocol.trial_names, success.T, strict=True):
        print(f"  {int(held.sum())} of {len(held)} grasps hold in the trial {trial!r}.")
    reasons, counts = np.unique(np.asarray(result.columns["reason"])[:, 0], return_counts=True)
    for reason, count in zip(reasons, counts, strict=True):
        print(f"  {count} of {len(success)}: {FailureReason(int(reason)).sentence}")


def main() -> None:
    """Synthesise, test twice, describe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--steps", type=int, default=1000, help="steps of the optimiser")
    parser.add_argument("--grasps", type=int, default=12, help="grasps to test")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    quiet_warp()  # no messages about compiled kernels

    hand, mug = load_hand("allegro"), load_object(example_object_path("mug"))
    config = SynthesisConfig(grasp_count=options.grasps, step_count=options.steps)
    (grasps,) = synthesize(hand, [mug], config)
    path = grasps.save(options.out / "mug.npz")
    for protocol in (pick_up, graspqp):
        result = evaluate(path, protocol)
        describe(result, protocol)
        result.save(options.out / f"{protocol.name}.npz")
    print(f"The results are in {options.out}.")


if __name__ == "__main__":
    main()
