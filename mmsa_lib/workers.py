"""Work on many files in processes that may crash or hang: each file gets an answer, and the rest goes on.

A decoder is C code that reads what strangers wrote. A pool of the standard library ends as a whole when one of its
processes is killed by such a file, and waits for ever for one that hangs; here the process is replaced and the file
named.
"""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from mmsa_lib.errors import MMSAError

# Not forked: a copy of a process with threads, such as torch's, may hang in their locks.
_CONTEXT = multiprocessing.get_context("spawn")
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Failure:
    """A task without a result: the error it raised, or how its process ended."""

    reason: str


def run_guarded(
    function: Callable[[Any], Any], tasks: Sequence[Any], num_workers: int, seconds: float
) -> Iterator[tuple[int, Any]]:
    """Yield (index, `function(tasks[index])`) as they are done; a `Failure` where that raised, crashed or hung.

    `function` is one that another process can import, and its module should be quick to import. A task that takes
    longer than `seconds` is given up and its process killed. Memory does not grow with the number of tasks.
    """
    left = deque(enumerate(tasks))
    workers = [_Worker(function) for _ in range(max(1, min(num_workers, len(tasks))))] if tasks else []
    try:
        busy = set(workers)
        while busy:
            for worker in _ready(busy):
                outcome, index = worker.collect(seconds), worker.index
                if outcome is not None:
                    yield index, outcome
                if not worker.next(left, seconds):
                    busy.discard(worker)
    finally:
        for worker in workers:
            worker.stop()


def _ready(workers: set["_Worker"]) -> list["_Worker"]:
    """Those that have sent something, died, or used up their time; waits for the first."""
    remaining = min(worker.deadline for worker in workers) - time.monotonic()
    links = set(wait([worker.link for worker in workers], max(0.0, remaining)))
    return [w for w in workers if w.link in links or time.monotonic() >= w.deadline]


class _Worker:
    """One process, replaced when it is lost. It says None once it has started, then one answer a task."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self._start()

    def _start(self) -> None:
        self.index: int | None = None
        self.link, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(theirs, self.function), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is seen as the end of the pipe
        self.deadline = time.monotonic() + _START_SECONDS

    def collect(self, seconds: float) -> Any:
        """What came of the task in hand, or None if the process has just started."""
        try:
            if self.link.poll():
                return self.link.recv()
            reason = f"took longer than {seconds:g} seconds"
        except (EOFError, OSError):
            self.process.join(5)
            reason = f"the decoder crashed ({_ending(self.process.exitcode)})"
        if self.index is None:
            raise MMSAError(f"a process for the work could not be started: {reason}")
        self.stop()
        return Failure(reason)

    def next(self, left: deque[tuple[int, Any]], seconds: float) -> bool:
        """Hand out the next task; False if there is none. A process that was lost is replaced first."""
        if not left:
            return False
        if self.link.closed:
            self._start()
            return True
        self.index, task = left.popleft()
        self.deadline = time.monotonic() + seconds
        with suppress(OSError):  # if it has died meanwhile, that shows when its answer is collected
            self.link.send(task)
        return True

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.link.close()


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _serve(link: Connection, function: Callable[[Any], Any]) -> None:
    """Answer tasks until the other end is closed; runs in the process of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that hands out the work
    link.send(None)
    while True:
        try:
            task = link.recv()
        except (EOFError, OSError):
            return
        try:
            answer = function(task)
        except MMSAError as error:
            answer = Failure(getattr(error, "reason", str(error)))
        except Exception as error:
            answer = Failure(f"{type(error).__name__}: {error}")
        link.send(answer)
