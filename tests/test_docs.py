"""What the documentation promises: citations that can be followed, and code on its pages that runs."""

from __future__ import annotations

import importlib.util
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warpgrasp import SynthesisConfig, load_hand, load_object, synthesize
from warpgrasp.objects import example_object_path

ROOT = Path(__file__).parent.parent
# Short citations such as "Zurbrügg et al. 2025", "Ferrari and Canny 1992", "P. Li et al. 2023".
_CITATION = re.compile(r"\b([A-Z][\w'-]+)(?: et al\.| and [A-Z][\w'-]+)? \(?((?:19|20)\d\d)\b")


def _plain(text: str) -> str:
    """Letters without accents, TeX's included."""
    text = re.sub(r"\\[\"'`^~]|[{}]", "", text).replace(r"\ae", "ae").replace("ø", "o").replace("æ", "ae")
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)).lower()


def _entries() -> list[tuple[str, str]]:
    """Authors and year of every reference."""
    text = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    entries = re.split(r"(?m)^@", text)[1:]
    found = []
    for entry in entries:
        author = re.search(r"(?m)^  author = \{(.*)\},$", entry)
        year = re.search(r"year = \{(\d+)\}", entry)
        assert author is not None, entry
        assert year is not None, entry
        found.append((_plain(author[1]), year[1]))
    return found


def test_citations_of_docstrings_stand_in_the_references() -> None:
    entries = _entries()
    unknown = []
    for path in sorted((ROOT / "warpgrasp").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\[(GQP|DGN|GDG|TDG|FGD|FRG|BODex)\b", text), f"{path}: write the citation out"
        for name, year in _CITATION.findall(text):
            if not any(_plain(name) in authors and year == entry_year for authors, entry_year in entries):
                unknown.append(f"{path.relative_to(ROOT)}: {name} {year}")
    assert not unknown


def _code(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)


def _run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> dict[str, Any]:
    """Names that a block defines; from a file, since Warp reads the source of kernels."""
    file = tmp_path / "block.py"
    file.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"docs_{tmp_path.name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return vars(module)


def test_the_optimiser_of_the_page_lowers_the_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = _run(tmp_path, monkeypatch, _code("howto/own_optimizer.md")[0])
    hand, mug = load_hand("allegro"), load_object(example_object_path("mug"))
    energies = []
    for step_count in (1, 60):
        config = SynthesisConfig(
            grasp_count=2, step_count=step_count, optimizer=names["JointDescent"](), device="cpu"
        )
        (grasps,) = synthesize(hand, [mug], config)
        energies.append(grasps.energy)
    assert np.all(energies[1] < 0.95 * energies[0])


def test_the_gradients_of_the_page_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = _code("howto/torch.md")
    names = _run(tmp_path, monkeypatch, blocks[0] + blocks[1])
    derived = names["state"].gradient.numpy()
    taped = names["increment"].grad.numpy()
    np.testing.assert_allclose(taped, derived, atol=1e-5 * np.abs(derived).max())
