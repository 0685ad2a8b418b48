"""Work on many files in processes that may crash or hang: each file gets an answer, and the rest goes on.

A decoder is C code that reads what strangers wrote. A pool of the standard library ends as a whole when one of its
processes is killed by such a file, and waits for ever for one that hangs; here the process is replaced and the file
named.
"""

import math
import multiprocessing
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from queue import Empty, Full, Queue
from typing import Any

from mmsa_lib.errors import MMSAError

# Not forked: a copy of a process with threads, such as torch's, may hang in their locks.
_CONTEXT = multiprocessing.get_context("spawn")
_START_SECONDS = 120.0
_LONGEST_WAIT = 3600.0  # at a time: the system's own wait takes no number of any size


@dataclass(frozen=True)
class Failure:
    """A task without a result: the error it raised, or how its process ended (`lost`: it crashed or hung).

    Another try is worth it with more than `patience` seconds: 0 where the cause may have passed, infinite where
    the same would happen again.
    """

    reason: str
    lost: bool = field(default=False, compare=False)
    patience: float = field(default=math.inf, compare=False)


def failure(error: Exception) -> Failure:
    """An error as a result; whoever raised it may know whether it may pass, else the system's own errors do."""
    ours = isinstance(error, MMSAError)
    reason = getattr(error, "reason", str(error)) if ours else f"{type(error).__name__}: {error}"
    passing = getattr(error, "passing", isinstance(error, (OSError, MemoryError)))
    return Failure(reason, patience=0.0 if passing else math.inf)


def run_guarded(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    num_workers: int,
    seconds: float,
    *,
    ahead: int | None = None,
    retries: int = 0,
) -> Iterator[tuple[int, Any]]:
    """Yield (index, `function(tasks[index])`) as they are done; a `Failure` where that raised, crashed or hung.

    `function` is one that another process can import, and its module should be quick to import. A task that takes
    longer than `seconds` (infinity for as long as it takes) is given up and its process killed; a task whose process
    is lost is tried `retries` times more, as a machine short of memory kills processes at random. Memory does not grow
    with the number of tasks.

    With `ahead` the results come in the order of the tasks, and nothing is begun that is `ahead` tasks or more behind
    the first unfinished one: a task that hangs does not let the results of later ones pile up.
    """
    if not seconds > 0:  # nor is NaN
        raise MMSAError(f"seconds per clip: {seconds:g} is not a time above 0")
    plan = _Plan(tasks, ahead, retries)
    idle: list[_Worker] = []
    workers = [_Worker(function) for _ in range(max(1, min(num_workers, len(tasks))))] if tasks else []
    try:
        busy = set(workers)
        while busy:
            for worker in _ready(busy):
                outcome = worker.collect(seconds)
                if worker.index is not None:  # else it says that it has started
                    plan.finish(worker.index, outcome)
                busy.discard(worker)
                idle.append(worker)
            while idle and plan.left():
                worker = idle.pop()
                worker.give(plan, seconds)
                busy.add(worker)
            yield from plan.results()
    finally:
        for worker in workers:
            worker.stop()


class _Plan:
    """Which task is next, which results are ready, and in what order they are handed over."""

    def __init__(self, tasks: Sequence[Any], ahead: int | None, retries: int) -> None:
        self.tasks, self.ahead, self.retries = tasks, ahead, retries
        self.begun = 0
        self.again: deque[int] = deque()  # tasks whose process was lost
        self.tries: Counter[int] = Counter()
        self.done: dict[int, Any] = {}
        self.first = 0  # the first task whose result has not been handed over

    def left(self) -> bool:
        """Whether a task may begin now."""
        fresh = self.begun < len(self.tasks) and (self.ahead is None or self.begun < self.first + self.ahead)
        return fresh or bool(self.again)

    def next(self) -> tuple[int, Any]:
        if self.again:
            index = self.again.popleft()
        else:
            index, self.begun = self.begun, self.begun + 1
        return index, self.tasks[index]

    def finish(self, index: int, outcome: Any) -> None:
        if isinstance(outcome, Failure) and outcome.lost and self.tries[index] < self.retries:
            self.tries[index] += 1
            self.again.append(index)
            return
        self.done[index] = outcome
        if self.ahead is not None:
            while self.first in self.done:
                self.first += 1

    def results(self) -> Iterator[tuple[int, Any]]:
        ready = sorted(i for i in self.done if self.ahead is None or i < self.first)
        for index in ready:
            yield index, self.done.pop(index)


def _ready(workers: set["_Worker"]) -> list["_Worker"]:
    """Those that have sent something, died, or used up their time; waits for the first."""
    remaining = min(worker.deadline for worker in workers) - time.monotonic()
    links = set(wait([worker.link for worker in workers], min(max(0.0, remaining), _LONGEST_WAIT)))
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
        """What came of the task in hand (`index`); None if there is none, as the process has just started."""
        try:
            if self.link.poll():
                return self.link.recv()
            reason, patience = f"took longer than {seconds:g} seconds", seconds
        except (EOFError, OSError):
            self.process.join(5)
            reason, patience = f"the decoder crashed ({_ending(self.process.exitcode)})", 0.0
        if self.index is None:
            raise MMSAError(f"a process for the work could not be started: {reason}")
        self.stop()
        return Failure(reason, lost=True, patience=patience)

    def give(self, plan: "_Plan", seconds: float) -> None:
        """Hand out the next task. A process that was lost is replaced first, and gets it when it has started."""
        if self.link.closed:
            self._start()
            return
        self.index, task = plan.next()
        self.deadline = time.monotonic() + seconds
        with suppress(OSError):  # if it has died meanwhile, that shows when its answer is collected
            self.link.send(task)

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
        except Exception as error:
            answer = failure(error)
        link.send(answer)


class Prefetch:
    """Iterate over something in a thread, `size` items ahead of who reads them; `waited` is how long they had to wait.

    Worker processes hand over large results only while somebody takes them; this somebody must not be busy with a
    network meanwhile. To be used in a `with` statement, which ends the iteration early if the reader does.
    """

    _END = object()

    def __init__(self, source: Iterable[Any], size: int) -> None:
        self.source = iter(source)
        self.queue: Queue[tuple[Any, BaseException | None]] = Queue(size)
        self.stopped = threading.Event()
        self.waited = 0.0

    def __enter__(self) -> "Prefetch":
        threading.Thread(target=self._fill, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        with suppress(Empty):
            self.queue.get_nowait()

    def __iter__(self) -> Iterator[Any]:
        while True:
            started = time.perf_counter()
            item, error = self.queue.get()
            self.waited += time.perf_counter() - started
            if error is not None:
                raise error
            if item is self._END:
                return
            yield item

    def _fill(self) -> None:
        try:
            for item in self.source:
                if not self._put(item):
                    return
            self._put(self._END)
        except BaseException as error:  # raised where the items are read
            self._put(None, error)
        finally:
            getattr(self.source, "close", lambda: None)()

    def _put(self, item: Any, error: BaseException | None = None) -> bool:
        """False if nobody reads any more."""
        while not self.stopped.is_set():
            with suppress(Full):
                self.queue.put((item, error), timeout=0.2)
                return True
        return False
