"""The code on the page about data sets runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="data sets need pyarrow (extra scale)")

from data_set_factory import make

from warpgrasp.dataset.plan import read_plan

PAGE = (Path(__file__).parent.parent / "docs" / "howto" / "datasets.md").read_text(encoding="utf-8")
NEEDS = {"duckdb": ("duckdb", "pandas", "polars"), "GraspDataset": ("torch",), "camera_matrix": ()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page")
    plan = ["--primitives", "5", "--methods", "simulated", "--grasps", "20", "--views", "1"]
    assert make(path / "my_data", plan=plan) == 0
    return path


@pytest.mark.parametrize("word", NEEDS)
def test_python_blocks(folder: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    for package in NEEDS[word]:
        pytest.importorskip(package, reason=f"this block of the page needs {package}")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if word in block]
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(compile(block, "datasets.md", "exec"), names)
    if word == "duckdb":
        counts = {len(names["table"]), len(names["frame"]), len(names["lazy"].collect())}  # type: ignore[arg-type, attr-defined]
        assert counts == {100}
        assert sum(count for _, count in names["held"].fetchall()) == 100  # type: ignore[attr-defined]


def test_every_key_of_the_plan_is_explained(tmp_path: Path) -> None:
    import dataclasses

    from warpgrasp.dataset.plan import Plan

    for field in dataclasses.fields(Plan):
        assert f"`{field.name}`" in PAGE, field.name
    shortest = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    (tmp_path / "plan.yaml").write_text(shortest)
    assert read_plan(tmp_path / "plan.yaml", {}).grasps == 8
    assert read_plan(Path(__file__).parent.parent / "examples" / "small_dataset.yaml", {}).grasps == 8
