"""Learning from a written teacher: the algorithm on a toy that has an answer, and the commands on the environment."""

import json
from types import SimpleNamespace

import torch
from tensordict import TensorDict

from warpgrasp.eval.isaaclab import replay, train

TASK = "WarpGrasp-Approach-Robotiq2f140"


class Toy:
    """What rsl_rl wants of an environment: the teacher does twice what the student sees of the mean of some points."""

    num_envs, num_actions, max_episode_length, device = 64, 1, 10, "cpu"
    cfg = SimpleNamespace()

    def __init__(self):
        self.episode_length_buf = torch.zeros(self.num_envs, dtype=torch.long)
        self._generator = torch.Generator().manual_seed(3)

    def get_observations(self):
        seen, points = (torch.rand(self.num_envs, size, generator=self._generator) - 0.5 for size in (2, 6))
        wanted = points[:, 1:2] + points[:, 4:5]
        groups = {"policy": seen, "points": points, "teacher": wanted}
        return TensorDict(groups, batch_size=[self.num_envs])

    def step(self, actions):
        zeros = torch.zeros(self.num_envs)
        return self.get_observations(), zeros, zeros.long(), {}


def test_a_student_learns_what_the_teacher_does_without_a_checkpoint():
    from isaaclab_rl.rsl_rl import handle_deprecated_rsl_rl_cfg
    from rsl_rl.runners import DistillationRunner

    from warpgrasp.eval.isaaclab.envs.agents import RslRlApproachDistillation

    torch.manual_seed(0)
    cfg = handle_deprecated_rsl_rl_cfg(RslRlApproachDistillation(device="cpu"), "5.0.0")
    toy = Toy()
    runner = DistillationRunner(toy, cfg.to_dict(), device="cpu")
    runner.learn(8)
    observed = toy.get_observations()
    with torch.inference_mode():
        error = runner.get_inference_policy("cpu")(observed) - observed["teacher"]
    assert observed["teacher"].std() > 0.3
    assert error.abs().mean() < 0.05


def test_a_student_is_trained_and_compared_with_its_replay(tmp_path):
    runs, out = tmp_path / "runs", tmp_path / "found.json"
    few = ["--num-envs", "4", "--device", "cpu"]
    assert train.main([TASK, *few, "--agent", "distillation", "--iterations", "1", "--out", str(runs)]) == 0
    (checkpoint,) = runs.glob("*/model_0.pt")
    assert "low: 1.0" in (checkpoint.parent / "params" / "env.yaml").read_text()
    words = [TASK, *few, "--checkpoint", str(checkpoint), "--episodes", "4", "--out", str(out)]
    assert replay.main(words) == 0
    assert json.loads(out.read_text())["episodes"] == 4


def test_a_task_without_a_teacher_is_refused(capsys):
    assert train.main(["WarpGrasp-Lift-Allegro", "--agent", "distillation"]) == 2
    assert "has no teacher for rsl_rl; take an Approach task" in capsys.readouterr().err
