"""Convert public hands without an edit, check each, and print a table: how many grasps of every type hold, and if few, why.

    python benchmarks/public_hands.py --models FOLDER [FOLDER ...] --out FOLDER [--only NAME ...] [--grasps 8] [--steps 1500]
    python benchmarks/public_hands.py --models FOLDER [FOLDER ...] --out FOLDER --kinematics
    python benchmarks/public_hands.py --out FOLDER --table

The folders are checkouts, none of which is part of this repository: dexsuite/dex-urdf, google-deepmind/mujoco_menagerie,
psyonicinc/ability-hand-api, leggedrobotics/graspqp and so on (the column *source* says which). A file is looked for in
each folder by the end of its path, such as ``robotiq_2f85/2f85.xml``; a hand whose file is nowhere is named and left out.

Each hand gets a folder in ``--out`` with the conversion and ``row.json``; grasp types that are finished for the same
asset and settings are not computed again, so that the command can be ended and repeated. Numbers are those of
``python -m warpgrasp.hands.check``: five shapes, the default optimiser, the protocol ``graspqp`` at pushes of 2 and 5 N.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mujoco
import newton
import numpy as np
import warp as wp

from warpgrasp.base.file_hash import file_hash
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.evaluate.few_hold import why_few_hold
from warpgrasp.evaluate.hand_trial import run_trial, trial_shapes
from warpgrasp.geometry.rotations import IDENTITY_QUATERNION
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.hands.check.asset import check_hand
from warpgrasp.hands.convert import ConvertConfig, convert_hand
from warpgrasp.hands.export import export_hand
from warpgrasp.hands.export.meshes import vendor_link_names
from warpgrasp.hands.fingertip_force import fingertip_forces

FORCES = (2.0, 5.0)
TYPES = ("power", "precision", "pinch")
CONFIGURATIONS = 20


@dataclass(frozen=True)
class PublicHand:
    """A description and the options that the converter's own messages name for it."""

    title: str
    source: str
    path: str
    root: str = ""
    density: float | None = None

    @property
    def options(self) -> str:
        """As on the command line."""
        parts = [f"--root {self.root}"] if self.root else []
        return " ".join(parts + ([f"--density {self.density:g}"] if self.density else []))


_MENAGERIE, _DEX, _INDUSTRIAL, _GRASPQP = "MuJoCo Menagerie", "dex-urdf", "ros-industrial", "GraspQP"
HANDS = {
    "men_2f85": PublicHand("Robotiq 2F-85", _MENAGERIE, "robotiq_2f85/2f85.xml"),
    "men_panda": PublicHand("Franka Hand", _MENAGERIE, "franka_emika_panda/hand.xml"),
    "men_panda_arm": PublicHand(
        "Franka Hand on its arm", _MENAGERIE, "franka_emika_panda/panda.xml", root="hand"
    ),
    "men_shadow_left": PublicHand("Shadow, left", _MENAGERIE, "shadow_hand/left_hand.xml"),
    "men_shadow": PublicHand("Shadow", _MENAGERIE, "shadow_hand/right_hand.xml"),
    "men_allegro_left": PublicHand("Allegro, left", _MENAGERIE, "wonik_allegro/left_hand.xml"),
    "men_allegro": PublicHand("Allegro", _MENAGERIE, "wonik_allegro/right_hand.xml"),
    "men_leap": PublicHand("LEAP", f"{_MENAGERIE} (fork)", "leap_hand/leap_hand.xml"),
    "dclaw": PublicHand("D'Claw", _DEX, "robots/hands/dclaw_gripper/dclaw_gripper.urdf"),
    "panda": PublicHand("Franka Hand", "franka_ros meshes", "panda/panda_hand.urdf"),
    "robotiq_2f140": PublicHand("Robotiq 2F-140", _INDUSTRIAL, "robotiq_2f140/robotiq_2f140.urdf"),
    "graspqp_2f140": PublicHand(
        "Robotiq 2F-140, joints uncoupled", _GRASPQP, "graspqp/robotiq2/robotiq_2f140.urdf"
    ),
    "graspqp_panda": PublicHand("Franka Hand, jaws uncoupled", _GRASPQP, "graspqp/panda/franka_panda.urdf"),
    "dex_ability_left": PublicHand(
        "Ability Hand, left", _DEX, "robots/hands/ability_hand/ability_hand_left.urdf"
    ),
    "dex_allegro_left": PublicHand("Allegro, left", _DEX, "robots/hands/allegro_hand/allegro_hand_left.urdf"),
    "dex_inspire_left": PublicHand("Inspire, left", _DEX, "robots/hands/inspire_hand/inspire_hand_left.urdf"),
    "dex_leap_left": PublicHand("LEAP, left", _DEX, "robots/hands/leap_hand/leap_hand_left.urdf"),
    "dex_svh_left": PublicHand(
        "Schunk SVH, left", _DEX, "robots/hands/schunk_hand/schunk_svh_hand_left.urdf", density=1000.0
    ),
    "dex_shadow_left": PublicHand("Shadow, left", _DEX, "robots/hands/shadow_hand/shadow_hand_left.urdf"),
    "dex_inspire_left_arm": PublicHand(
        "Inspire, left, on an arm",
        _DEX,
        "robots/assembly/rm75_inspire/rm75_inspire_left_hand.urdf",
        root="hand_base_link",
    ),
    "dex_ability_left_arm": PublicHand(
        "Ability Hand, left, on an arm",
        _DEX,
        "robots/assembly/xarm7_ability/xarm7_ability_left_hand.urdf",
        root="base",
    ),
    "dex_ability_arm": PublicHand(
        "Ability Hand on an arm",
        _DEX,
        "robots/assembly/xarm7_ability/xarm7_ability_right_hand.urdf",
        root="base",
    ),
    "robotiq_3f": PublicHand("Robotiq 3-Finger", _INDUSTRIAL, "robotiq_3f/robotiq_3f_articulated.urdf"),
    "graspqp_3f": PublicHand(
        "Robotiq 3-Finger", _GRASPQP, "graspqp/robotiq3/robotiq_3finger_flat.urdf", density=1000.0
    ),
    "dex_inspire": PublicHand("Inspire", _DEX, "robots/hands/inspire_hand/inspire_hand_right.urdf"),
    "dex_svh": PublicHand(
        "Schunk SVH", _DEX, "robots/hands/schunk_hand/schunk_svh_hand_right.urdf", density=1000.0
    ),
    "ability": PublicHand("Ability Hand", "Psyonic", "ability_hand/ability_hand_right_large.urdf"),
    "ability_mjcf": PublicHand("Ability Hand", "Psyonic", "ability_hand/mjcf/abh_right_large.xml"),
    "dex_allegro": PublicHand("Allegro", _DEX, "allegro/allegro_hand_right.urdf"),
    "barrett_282": PublicHand("Barrett BH8-282", _DEX, "barrett/bhand_model.urdf"),
    "barrett_280": PublicHand("Barrett BH8-280", "FRoGGeR", "barrett/frogger_bh280/bh280.urdf"),
    "dex_leap": PublicHand("LEAP", _DEX, "leap/leap_hand_right.urdf"),
}


def find(folders: list[Path], path: str) -> Path | None:
    """The file in one of the folders, or one folder below them that ends like ``path``."""
    for folder in folders:
        if (folder / path).is_file():
            return folder / path
    for folder in folders:
        for found in sorted(folder.rglob(Path(path).name)):
            if found.as_posix().endswith(f"/{path}"):
                return found
    return None


def converted(name: str, file: Path, options: argparse.Namespace) -> tuple[HandModel, dict[str, Any]]:
    """The hand and what is known of it: from an earlier run where the file and the options are the same, else converted."""
    row = HANDS[name]
    folder = options.out / name
    kept = folder / "row.json"
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    source = f"{file_hash(file)} {row.options}"
    if known.get("source") != source or options.fresh:
        started = time.process_time()
        config = ConvertConfig(name=name, root=row.root, density=row.density, fresh=True)
        result = convert_hand(file, folder, config)
        seconds = time.process_time() - started
        unsure = [guess.topic for guess in result.guesses if guess.confidence < 0.5]
        known = {"source": source, "types": known.get("types", {})}
        known |= facts(result.hand, seconds, list(result.warnings)) | {"unsure": unsure}
    hand = load_hand(folder / "hand.usda")
    kept.write_text(json.dumps(known, indent=1))
    return hand, known


def measure(name: str, file: Path, wanted: list[str], options: argparse.Namespace) -> None:
    """Convert and check a hand, and try the grasp types that are wanted; what is new is written into its folder."""
    hand, known = converted(name, file, options)
    for grasp_type in hand.grasp_types:
        settings = [options.grasps, options.candidates, options.steps, list(FORCES), hand.asset_hash]
        if grasp_type not in wanted or known["types"].get(grasp_type, {}).get("settings") == settings:
            continue
        started = time.process_time()
        trial = run_trial(
            hand,
            grasp_type,
            trial_shapes(),
            grasps=options.grasps,
            candidates=options.candidates,
            steps=options.steps,
            forces=FORCES,
        )
        row = {
            "settings": settings,
            "succ1": trial.succ1,
            "succ3": trial.succ3,
            "why": why_few_hold(hand, trial),
            "lost": {reason.name: number for reason, number in trial.lost.items()},
            "status": {status.name: number for status, number in trial.status.items()},
            "usable_succ1": trial.usable_succ1,
            "stronger_succ1": trial.stronger_succ1,
            "shapes": {s.shape: [s.succ1[0], {k.name: v for k, v in s.lost.items()}] for s in trial.shapes},
            "seconds": time.process_time() - started,
        }
        known["types"][grasp_type] = row
        (options.out / name / "row.json").write_text(json.dumps(known, indent=1))
        rates = " ".join(f"{100 * value:.0f}" for value in (*trial.succ1, *trial.succ3))
        print(f"{name:22s} {grasp_type:10s} {rates}  {row['why']}", flush=True)


def facts(hand: HandModel, seconds: float, warnings: list[str]) -> dict[str, Any]:
    """What the table shows of a hand beside its grasps."""
    return {
        "joints": hand.dof_count,
        "fingers": len({patch.finger for patch in hand.patches if patch.region != "palm"}),
        "patches": len(hand.patches),
        "mass": float(hand.link_mass.sum()),
        "convert_seconds": seconds,
        "force": [float(f.force) for f in fingertip_forces(hand)],
        "warnings": warnings,
        "look": {row.topic: row.detail for row in check_hand(hand) if not row.ok},
    }


def kinematics(name: str, file: Path, options: argparse.Namespace) -> None:
    """Largest difference [m] of link positions from MuJoCo on the vendor's file, MuJoCo on our MJCF, and Newton on our USD."""
    hand, known = converted(name, file, options)
    key = [hand.asset_hash, CONFIGURATIONS]
    if known.get("kinematics", [None])[0] == key:
        return
    random = np.random.default_rng(5)
    poses = random.uniform(hand.dof_lower, hand.dof_upper, size=(CONFIGURATIONS, hand.dof_count))
    own = np.stack([hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, q)[0] for q in poses])
    with tempfile.TemporaryDirectory() as folder:
        ours = mujoco.MjModel.from_xml_path(str(export_hand(hand.path, Path(folder))))
    found = {
        "vendor's file": _difference(
            hand, own, _mujoco_positions(hand, vendor_model(file), poses, vendor_link_names(hand))
        ),
        "our MJCF": _difference(hand, own, _mujoco_positions(hand, ours, poses, None)),
        "Newton": _difference(hand, own, _newton_positions(hand, poses)),
    }
    known["kinematics"] = [key, found]
    (options.out / name / "row.json").write_text(json.dumps(known, indent=1))
    print(f"{name:22s} " + ", ".join(f"{engine} {far:.1e} m" for engine, far in found.items()), flush=True)


def vendor_model(file: Path) -> Any:
    """The file as MuJoCo reads it; of a URDF without its meshes, which MuJoCo looks for elsewhere."""
    if file.suffix != ".urdf":
        return mujoco.MjModel.from_xml_path(str(file))
    robot = ElementTree.fromstring(file.read_text().replace("drake:", "drake_"))
    for link in robot.findall("link"):
        for part in (*link.findall("visual"), *link.findall("collision")):
            link.remove(part)
    settings = ElementTree.SubElement(ElementTree.SubElement(robot, "mujoco"), "compiler")
    settings.attrib |= {
        "fusestatic": "false",
        "boundmass": "0.001",
        "boundinertia": "1e-5",
        "balanceinertia": "true",
    }
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(robot, encoding="unicode"))


def _mujoco_positions(
    hand: HandModel, model: Any, poses: np.ndarray, names: tuple[str, ...] | None
) -> np.ndarray:
    """Positions of links [N, L, 3] in the root link's frame; NaN for links without a body of that name."""
    data = mujoco.MjData(model)
    bodies = [model.body(body).name for body in range(model.nbody)]
    of_link = [k + 1 for k in range(hand.link_count)] if names is None else [
        bodies.index(link) if link in bodies else -1 for link in names
    ]  # fmt: skip
    of_link[0] = max(of_link[0], 0)  # the root of a URDF is the world body
    found = np.full((len(poses), hand.link_count, 3), np.nan)
    for row, q in zip(found, poses, strict=True):
        for joint, value in hand.expand_joint_position(q).items():
            data.qpos[model.joint(joint).qposadr[0]] = value
        mujoco.mj_kinematics(model, data)
        turn = data.xmat[of_link[0]].reshape(3, 3)
        for link, body in enumerate(of_link):
            if body >= 0:
                row[link] = (data.xpos[body] - data.xpos[of_link[0]]) @ turn
    return found


def _newton_positions(hand: HandModel, poses: np.ndarray) -> np.ndarray:
    builder = newton.ModelBuilder()
    builder.add_usd(str(hand.path))
    model = builder.finalize(device="cpu")
    order = [model.body_label.index(path) for path in hand.link_paths]
    start = dict(zip(model.joint_label, model.joint_q_start.numpy(), strict=False))
    (free,) = [label for label in model.joint_label if label not in hand.joint_paths]
    moving = {hand.link_joint_names[k]: hand.joint_paths[k] for k in range(1, hand.link_count)}
    state = model.state()
    found = np.zeros((len(poses), hand.link_count, 3))
    for row, q in zip(found, poses, strict=True):
        joint_q = model.joint_q.numpy()
        joint_q[start[free] : start[free] + 7] = (0, 0, 0, *IDENTITY_QUATERNION)
        for joint, value in hand.expand_joint_position(q).items():
            joint_q[start[moving[joint]]] = value
        newton.eval_fk(model, wp.array(joint_q, dtype=wp.float32, device="cpu"), model.joint_qd, state)
        row[:] = state.body_q.numpy()[order, :3]
    return found


def _difference(hand: HandModel, one: np.ndarray, two: np.ndarray) -> float:
    known = np.isfinite(two).all(axis=(0, 2))
    if known.sum() < hand.link_count:
        lost = [name for name, there in zip(hand.link_names, known, strict=True) if not there]
        print(f"{hand.name}: no body for {', '.join(lost)}", flush=True)
    return float(np.linalg.norm(one - two, axis=2)[:, known].max())


def tables(out: Path) -> str:
    """Two Markdown tables of what was measured: the conversions, and the grasps with the reason where few hold."""
    head = "| Hand | Source | Format | Joints | Options | Fingers | Patches | Seconds | Efforts | Gains | Fingertip force N |"
    first, second = [head, "|" + "---|" * 11], ["| Hand | Source |", "|---|---|"]
    for grasp_type in TYPES:
        for force in FORCES:
            second[0] += f" {grasp_type} {force:g} N |"
            second[1] += "---|"
    second[0] += " Status OK, 2 N | Below 60 % at 2 N because |"
    second[1] += "---|---|"
    for name, row in HANDS.items():
        file = out / name / "row.json"
        if not file.is_file():
            continue
        known = json.loads(file.read_text())
        low, high = min(known["force"]), max(known["force"])
        span = f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"
        efforts, gains = _drives(known["warnings"], row.path.endswith(".urdf"))
        options = f"`{row.options}`" if row.options else "-"
        form = "URDF" if row.path.endswith(".urdf") else "MJCF"
        first.append(
            f"| {row.title} | {row.source} | {form} | {known['joints']} | {options} | {known['fingers']} | "
            f"{known['patches']} | {known['convert_seconds']:.0f} | {efforts} | {gains} | {span} |"
        )
        cells, reasons, usable = [], [], []
        for grasp_type in TYPES:
            trial = known["types"].get(grasp_type)
            for k in range(len(FORCES)):
                cells.append(
                    f"{100 * trial['succ1'][k]:.0f} / {100 * trial['succ3'][k]:.0f}" if trial else "-"
                )
            number = trial["status"].get("OK", 0) if trial else 0
            usable.append(f"{100 * trial['usable_succ1']:.0f} of {number}" if number else "-")
            if trial and trial["why"]:
                reasons.append(f"{grasp_type}: {trial['why']}")
        told = f"{', '.join(usable)} | {'. '.join(reasons) or '-'}"
        second.append(f"| {row.title} | {row.source} | {' | '.join(cells)} | {told} |")
    return "\n".join([*first, "", *second])


def _drives(warnings: list[str], urdf: bool) -> tuple[str, str]:
    """Whether efforts and gains are those of the file."""
    text = " ".join(warnings)
    efforts = (
        "replaced"
        if "cannot be true" in text
        else "none stated"
        if "No effort limit" in text
        else "as stated"
    )
    return efforts, "replaced" if "position gains" in text else "none in URDF" if urdf else "as stated"


def main() -> None:
    """Measure what is not yet measured, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(HANDS))
    parser.add_argument("--grasps", type=int, default=8)
    parser.add_argument("--candidates", type=int, default=2)
    parser.add_argument("--types", nargs="*", default=TYPES, choices=TYPES)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--fresh", action="store_true", help="convert again what was converted before")
    parser.add_argument(
        "--kinematics", action="store_true", help="compare positions with three engines instead"
    )
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    quiet_warp()
    if options.table:
        print(tables(options.out))
        return
    files = {name: find(options.models, HANDS[name].path) for name in options.only}
    for name, file in files.items():
        if file is None:
            print(f"{name}: {HANDS[name].path} is in none of the folders", flush=True)
    if options.kinematics:
        for name, file in files.items():
            if file is not None:
                kinematics(name, file, options)
        return
    for grasp_type in options.types:  # a run that is ended early has something of every hand
        for name, file in files.items():
            if file is not None:
                measure(name, file, [grasp_type], options)


if __name__ == "__main__":
    main()
