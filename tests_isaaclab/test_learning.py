"""The command lines train and play, on a run so short that it learns nothing."""

from warpgrasp.eval.isaaclab import play, train

TASK = "WarpGrasp-Grasp-Robotiq2f140"


def test_a_policy_is_trained_saved_and_played(tmp_path, capsys):
    common = ["--num-envs", "4", "--device", "cpu", "--options", "episode_length_s", "0.5"]
    assert train.main([TASK, *common, "--iterations", "1", "--out", str(tmp_path / "run")]) == 0
    checkpoints = sorted((tmp_path / "run").glob("model_*.pt"))
    assert checkpoints
    assert list((tmp_path / "run").glob("events*"))
    arguments = [TASK, *common, "--episodes", "4", "--checkpoint", str(checkpoints[-1])]
    assert play.main(arguments) == 0
    assert "of 4 episodes" in capsys.readouterr().out


def test_unknown_tasks_are_named(capsys):
    assert train.main(["WarpGrasp-Juggle-Allegro"]) == 2
    assert "unknown task 'WarpGrasp-Juggle-Allegro'" in capsys.readouterr().err
