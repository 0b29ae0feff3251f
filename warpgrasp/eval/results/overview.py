"""Everything a folder of results holds under one set of settings: ``results.csv``, ``results.json``, ``agreement.json``."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from warpgrasp.base.atomic_file import write_text
from warpgrasp.base.json_text import json_text
from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.protocol.conditions import protocol_sentence, squeeze_sentence
from warpgrasp.eval.results.agreement import Comparison
from warpgrasp.eval.results.places import StoredResult, stored_results
from warpgrasp.eval.results.rows import row_labels, total_rows

__all__ = ["Overview", "bad_sentences", "stored_comparison", "stored_labels"]


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, kw_only=True, eq=False)
class Overview:
    """Results of one folder, or of several that are shown together."""

    folder: Path
    """Where the tables go."""
    members: Sequence[Path]
    """Folders whose results it covers."""
    config: EvaluationConfig
    engine: str
    stored: Sequence[StoredResult]
    left_out: Sequence[str]
    """Sentences about results that do not belong in."""
    failures: Mapping[str, str]
    """Grasp file -> why this command skipped it."""
    comparison: Comparison | None = None

    @classmethod
    def of(
        cls,
        folder: Path,
        members: Sequence[Path],
        config: EvaluationConfig,
        engine: str,
        failures: Mapping[str, str],
    ) -> Overview:
        """Read what the folders hold."""
        stored, left_out = stored_results(members, config.settings_hash(engine))
        sentences = [
            f"left out: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}, which {reason}; evaluate again"
            for reason, names in left_out.items()
        ]
        return cls(
            folder=folder,
            members=members,
            config=config,
            engine=engine,
            stored=stored,
            left_out=sentences,
            failures=failures,
        )

    def compared(self, engine: str, folders: Sequence[Path]) -> Overview:
        """The same with what a second engine says, whose results lie in ``folders``."""
        others, _ = stored_results(folders, self.config.settings_hash(engine))
        comparison = stored_comparison((self.engine, engine), self.stored, others)
        return dataclasses.replace(self, comparison=comparison)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row per file and force."""
        return [row for stored in self.stored for row in stored.rows()]

    @property
    def forces(self) -> list[float]:
        """Pushes of the rows [N]; those asked for when there are no rows."""
        return sorted({row["force"] for row in self.rows}) or list(self.config.push_forces())

    @property
    def squeeze(self) -> str:
        """Where the squeeze comes from."""
        return squeeze_sentence(self.config.squeeze, self.config.squeeze_effort)

    @property
    def bad_grasps(self) -> dict[str, dict[str, int]]:
        """Grasp file -> grasps that could not be simulated, by reason."""
        counts = {str(stored.grasp_path): stored.result.bad_count() for stored in self.stored}
        return {name: count for name, count in counts.items() if count}

    def sentence(self, force: float, hand: str | None = None) -> str:
        """The protocol at one force."""
        protocol = self.config.protocol
        at_force = protocol if protocol.force is None else protocol.with_force(force)
        return protocol_sentence(at_force, hand=hand) + self.config.hand_sentence()

    def write(self) -> None:
        """Write the tables, each file whole or not at all.

        Raises:
            OutputError: A file cannot be written.
        """
        protocol = [self.sentence(force) for force in self.forces]
        content = {
            "protocol": protocol,
            "engine": self.engine,
            "squeeze": self.squeeze,
            "settings": self.config.settings_name(self.engine),
            "rows": self.rows,
            "totals": total_rows(self.rows),
            "skipped": dict(self.failures),
            "bad_grasps": self.bad_grasps,
            "folders": [os.path.relpath(path, self.folder) for path in self.members],
        }
        write_text(self.folder / "results.json", json_text(content))
        write_text(self.folder / "results.csv", self._csv())
        if self.comparison is not None:
            write_text(
                self.folder / "agreement.json", json_text({"protocol": protocol, **self.comparison.content()})
            )

    def _csv(self) -> str:
        """Rows with the protocol sentence as the last column, so that no number travels without its conditions."""
        if not self.rows:
            return ""
        text = io.StringIO()
        names = dict.fromkeys(name for row in self.rows for name in row)  # some have more metrics than others
        writer = csv.DictWriter(text, [*names, "protocol"], lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            cells = {**row, "protocol": self.sentence(row["force"], row["hand"])}
            writer.writerow({name: _cell(value) for name, value in cells.items()})
        return text.getvalue()


def _cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet takes for a formula: texts that begin like one get an apostrophe [OWASP]."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def stored_comparison(
    engines: tuple[str, str],
    first: Sequence[StoredResult],
    second: Sequence[StoredResult],
    forces: Sequence[float] | None = None,
) -> Comparison:
    """Two engines on the grasp files both have judged, at the forces both have simulated, or at some of them."""
    comparison = Comparison(*engines)
    others = {stored.grasp_path: stored.result for stored in second}
    pairs = [stored for stored in first if stored.grasp_path in others]
    labels = stored_labels(pairs)
    for stored in pairs:
        other = others[stored.grasp_path]
        common = set(stored.result.force) & set(other.force)
        if forces is not None:
            common &= set(forces)
        if common:
            comparison.add(labels[stored.grasp_path], stored.result.at(common), other.at(common))
    return comparison


def bad_sentences(bad_grasps: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What is wrong with grasps that could not be simulated, one sentence per file."""
    sentences = []
    for name, counts in bad_grasps.items():
        bad = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in counts.items())
        sentences.append(f"{name}: {bad}; such grasps count as failed.")
    return sentences


def stored_labels(stored: Sequence[StoredResult]) -> dict[Path, str]:
    """What each grasp file is called in tables: its object, with more where two share it."""
    rows = [
        {
            **{name: item.result.metadata[name] for name in ("object", "hand", "grasp_type")},
            "file": str(item.grasp_path),
        }
        for item in stored
    ]
    return {item.grasp_path: label for item, label in zip(stored, row_labels(rows), strict=True)}
