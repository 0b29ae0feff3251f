"""``python -m warpgrasp.dataset PLAN --out DIR``: many grasps of many objects and hands, as sharded Parquet files.

Exit codes: 0 everything is finished, 1 some items or objects failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.base.output_text import print_any_text
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.dataset.engine import RayEngine, open_items, run_here, shard_of
from warpgrasp.dataset.generations import Generation, open_generations, read_generations
from warpgrasp.dataset.items import WorkItem, in_share, work_items
from warpgrasp.dataset.making import engine_device
from warpgrasp.dataset.options import RunOptions, plan_flags
from warpgrasp.dataset.plan import read_plan
from warpgrasp.dataset.probe import estimate
from warpgrasp.dataset.status import DataSetStatus, finished_files, read_status
from warpgrasp.dataset.tables import write_tables
from warpgrasp.dataset.worker import Outcome, forget_failures, set_aside_items
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.grasps.sharded.columns import import_pyarrow

__all__ = ["RunOptions", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    print_any_text()
    if words and (command := _command(words[0])) is not None:
        return command(words[1:])
    options = tyro.cli(RunOptions, args=words, prog="python -m warpgrasp.dataset")
    out, errors = (
        Console(soft_wrap=True, highlight=False),
        Console(stderr=True, soft_wrap=True, highlight=False),
    )

    def complain(text: str) -> None:
        errors.print(f"error: {text}", style="red", markup=False)

    quiet_warp()
    try:
        import_pyarrow()
        return _run(options, out, complain)
    except KeyboardInterrupt:
        complain(
            f"interrupted; the finished files are kept in {options.out}. The same command continues there."
        )
        return 130
    except OutputError as error:  # nobody can write: a full disk fails for every item alike
        complain(f"{error} The finished files are kept; the same command continues.")
        return 1
    except (ValueError, ImportError, OSError) as error:
        complain(str(error))
        return 2


def _command(name: str) -> Callable[[Sequence[str]], int] | None:
    from warpgrasp.dataset.commands import COMMANDS

    return COMMANDS.get(name)


def _run(options: RunOptions, out: Console, complain: Callable[[str], None]) -> int:
    if options.status:
        return _say_status(options.out, out)
    number, count = (0, 1) if options.shard is None else shard_of(options.shard)
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers must be at least 1 (got {options.workers})")
    plan = read_plan(options.plan, plan_flags(options))
    if options.dry_run:
        with tempfile.TemporaryDirectory() as scratch:
            generations = open_generations(plan, options.out, extend=options.extend, scratch=Path(scratch))
            _say_left_out(generations, out)
            return _say_estimate(generations, options, out)
    if plan.protocols:  # an engine that is not installed is said now, not after the first synthesis
        load_engine(plan.engine, workers=1, device=engine_device(plan.engine, options.device))
    generations = open_generations(plan, options.out, extend=options.extend)
    _say_left_out(generations, out)
    if options.retry_failed:
        forget_failures(options.out, list(set_aside_items(options.out)))

    def own() -> Iterator[WorkItem]:
        return in_share(work_items(generations), number, count)

    def opened() -> Iterator[WorkItem]:
        return open_items(options.out, own())

    total = sum(1 for _ in own())
    done = total - sum(1 for _ in opened())
    share = "" if options.shard is None else f" in share {options.shard}"
    out.print(f"{options.out}: {total} items{share}, {done} finished before", markup=False)
    hear = _Ears(complain)
    if done < total:
        with _progress(out) as progress:
            hear.show(progress, total, done)
            if options.shard is not None:
                run_here(options.out, opened(), device=options.device, threads=options.threads, hear=hear)
            else:
                _with_ray(options, opened(), hear, out)
    return _finish(options.out, generations, out, complain)


def _say_left_out(generations: list[Generation], out: Console) -> None:
    for sentence in generations[-1].left_out:
        out.print(f"left out: {sentence}", markup=False)


def _with_ray(options: RunOptions, items: Iterator[WorkItem], hear: _Ears, out: Console) -> None:
    engine = RayEngine(options.out, address=options.address, actors=options.workers, device=options.device)
    kind = f"{engine.gpus} GPUs" if engine.gpus else "the CPU"
    where = (
        "Ray, started here for this run"
        if options.address is None
        else f"the Ray cluster at {options.address}"
    )
    out.print(f"{engine.count} workers of {where}, on {kind}", markup=False)
    try:
        engine.run(items, hear=hear)
    finally:
        engine.stop()
    if engine.deaths:
        out.print(f"{engine.deaths} times a worker ended at an item; Ray started it again", markup=False)


class _Ears:
    """Hears outcomes, moves the bar and complains once about each item that is set aside."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self.complain = complain
        self.progress: Progress | None = None
        self.rows = 0

    def show(self, progress: Progress, total: int, done: int) -> None:
        self.progress = progress
        self.task = progress.add_task("items", total=total, completed=done, rows="")

    def __call__(self, outcome: Outcome) -> None:
        self.rows += outcome.rows
        if outcome.state == "set aside":
            self.complain(f"item {outcome.item} is set aside: {outcome.sentence}")
        if self.progress is not None:
            advance = 0 if outcome.state == "failed" else 1
            self.progress.update(self.task, advance=advance, rows=f"{self.rows} rows")


def _progress(out: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=out,
        disable=not out.is_terminal,
    )


def _finish(
    folder: Path, generations: list[Generation], out: Console, complain: Callable[[str], None]
) -> int:
    """Write the tables when nothing is open, and say what there is."""
    status = read_status(folder, generations)
    if status.open == 0 and finished_files(folder):
        write_tables(folder)
    _print_status(folder, status, out)
    if status.set_aside:
        complain(
            f"{len(status.set_aside)} items were set aside; {folder / 'work' / 'failed'} says why, and --retry-failed tries "
            "them again"
        )
    return 1 if status.set_aside or status.failures else 0


def _say_status(folder: Path, out: Console) -> int:
    generations = read_generations(folder)
    if not generations:
        raise ValueError(f"{folder} holds no plan; name the folder of a data set with --out")
    _print_status(folder, read_status(folder, generations), out)
    return 0


def _print_status(folder: Path, status: DataSetStatus, out: Console) -> None:
    lines = [
        f"{folder}: {status.finished} of {status.items} items finished, {status.open} open, "
        f"{len(status.set_aside)} set aside",
        f"grasps    {status.requested} made, {status.rows} rows in files, {status.bytes / 1e6:.1f} MB",
    ]
    if status.requested:
        parts = [
            f"{name} {count} ({100.0 * count / status.requested:.1f} %)"
            for name, count in status.status.most_common()
        ]
        lines.append(f"status    {', '.join(parts)}")
        parts = [
            f"{name} {count} ({100.0 * count / status.requested:.1f} %)"
            for name, count in status.held.items()
        ]
        if parts:
            lines.append(f"held      {', '.join(parts)}")
    if status.failures:
        parts = [f"{stage}: {count} objects" for stage, count in status.failures.items()]
        lines.append(f"failures  {', '.join(parts)}")
        lines += [f"          {text} ({count} times)" for text, count in status.sentences.most_common(5)]
    for item, sentence in list(status.set_aside.items())[:5]:
        lines.append(f"set aside {item}: {sentence}")
    lines.append(f"cost      {_duration(status.cpu_seconds)} of CPU time of the workers so far")
    if status.open and status.last_finished is not None:
        lines.append(f"last item finished {_duration(status.last_finished)} ago")
    for line in lines:
        out.print(line, markup=False)


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever a person would say."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2.0 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _say_estimate(generations: list[Generation], options: RunOptions, out: Console) -> int:
    items = list(open_items(options.out, work_items(generations)))
    out.print(f"measuring one object of every kind of item on {options.device} ...", markup=False)
    started = time.perf_counter()
    result = estimate(generations, items, device=options.device)
    out.print(
        f"items     {result.items} open ({sum(1 for _ in work_items(generations))} in all)", markup=False
    )
    out.print(f"grasps    {result.grasps} (one round)", markup=False)
    out.print(f"bytes     {result.bytes / 1e6:.1f} MB of Parquet", markup=False)
    kind = "GPU" if result.device.startswith("cuda") else "CPU"
    other = "CPU" if kind == "GPU" else "GPU"
    time_of_it = _duration(3600.0 * result.hours)
    out.print(f"{kind} hours {result.hours:.3g}, or {time_of_it} ({kind}: {result.device})", markup=False)
    out.print(f"{other} hours not measured: pass --device on a machine that has one", markup=False)
    for sentence in result.probed:
        out.print(f"  {sentence}", markup=False)
    out.print(f"the measurement took {time.perf_counter() - started:.0f} s", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
