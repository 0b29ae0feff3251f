"""A process that makes batches of grasps for ``python -m warpgrasp.generate``.

Jobs come on stdin and answers go to stdout, pickled. The first message is ``(sys.path, arguments)`` of the command, each
other one ``(models, title)``. Answers are ``("say", text)``, ``("begin", title, step_count)``, ``("step", Progress)``,
``("end",)`` and, last for a job, ``("done", grasp sets, stage seconds)`` or ``("failed", sentence, stage seconds)``. The
process ends with its stdin. An interrupt is the business of the command; ``SIGTERM`` ends the job in work with the best grasps
so far.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

__all__ = ["main"]


class _Pipe:
    """Tells the command what a batch tells, at most so often."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def send(self, *message: Any) -> None:
        pickle.dump(message, self._stream, protocol=pickle.HIGHEST_PROTOCOL)
        self._stream.flush()

    def say(self, text: str) -> None:
        self.send("say", text)

    @contextmanager
    def batch(self, title: str, step_count: int) -> Iterator[Any]:
        self.send("begin", title, step_count)
        yield self
        self.send("end")

    def step(self, progress: Any) -> None:
        self.send("step", progress)


def _receive(jobs: IO[bytes]) -> Any:
    """What the command sent next. The process ends where the command has ended, in the middle of a job too."""
    try:
        return pickle.load(jobs)
    except (EOFError, pickle.UnpicklingError):
        if jobs.read(1):
            raise
        os._exit(0)


def main() -> None:
    """Work until stdin ends."""
    started = time.perf_counter()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs = os.fdopen(os.dup(0), "rb")
    pipe = _Pipe(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what else is printed must not come between the answers
    sys.path[:], arguments = _receive(jobs)

    from warpgrasp.base.command import Terminated, answer_requests, stop_requested
    from warpgrasp.base.stage_clock import StageClock
    from warpgrasp.base.warp_messages import quiet_warp
    from warpgrasp.generate.batch import BatchMaker, reason_of
    from warpgrasp.generate.options import parse_options
    from warpgrasp.generate.valid_grasps import Judge
    from warpgrasp.hands import load_hand

    clock = StageClock()
    answer_requests()
    try:
        options = parse_options(arguments)
        quiet_warp()
        clock.add("import", wall=time.perf_counter() - started, cpu=time.process_time())
        with clock.stage("hand"):
            hand = load_hand(options.hand)
        judge = Judge.of(options, workers=1) if options.valid_only else None
        maker = BatchMaker(hand, options.synthesis_config(), judge, pipe, clock)
        while True:
            models, title = _receive(jobs)
            with stop_requested() as stop:
                try:
                    sets = maker.make(models, title, stop)
                    pipe.send("done", sets, clock.take())
                except BrokenPipeError:
                    raise
                except Exception as error:  # whatever it is, the other objects finish
                    pipe.send("failed", reason_of(error), clock.take())
    except (BrokenPipeError, Terminated):
        os._exit(0)  # the command has ended, or asked for it: nothing is left to be written


if __name__ == "__main__":
    main()
