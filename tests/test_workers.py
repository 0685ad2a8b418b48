"""Work that crashes, hangs or raises: every task gets an answer, the rest goes on."""

import os
import time

import pytest
from decoders import quit_at_once, work

from mmsa_lib import workers
from mmsa_lib.errors import MMSAError
from mmsa_lib.workers import Failure, run_guarded


def run(tasks, num_workers=2, seconds=30.0):
    return dict(run_guarded(work, tasks, num_workers, seconds))


def test_every_task_has_its_result():
    tasks = [("double", i) for i in range(50)]
    assert run(tasks) == {i: 2 * i for i in range(50)}


def test_nothing_to_do():
    assert run([]) == {}


def test_the_work_is_shared_among_processes_that_stay():
    pids = set(run([("pid", 0)] * 40).values())
    assert 1 <= len(pids) <= 2 and os.getpid() not in pids


def test_crashes_are_reported_for_their_task_alone():
    names = ["double", "segfault", "double", "kill", "exit", "refuse", "bug", "double"]
    found = run([(name, 3) for name in names])
    assert {i: found[i] for i in (0, 2, 7)} == {0: 6, 2: 6, 7: 6}
    assert found[1] == Failure("the decoder crashed (SIGSEGV)")
    assert found[3] == Failure("the decoder crashed (SIGKILL)")
    assert found[4] == Failure("the decoder crashed (exit status 3)")
    assert found[5] == Failure("empty file")  # the reason of a MediaError, without the name of the file
    assert found[6] == Failure("ValueError: a bug")


def test_a_task_that_hangs_is_given_up_in_time():
    started = time.monotonic()
    found = run([("hang", 0), ("double", 1), ("double", 2)], num_workers=1, seconds=2.0)
    assert found == {0: Failure("took longer than 2 seconds"), 1: 2, 2: 4}
    assert time.monotonic() - started < 50


def test_only_crashes_come_to_an_end_too():
    found = run([("kill", 0)] * 5)
    assert found == dict.fromkeys(range(5), Failure("the decoder crashed (SIGKILL)"))


def test_leaving_early_leaves_no_process():
    results = run_guarded(work, [("pid", 0), ("hang", 0), ("hang", 0)], 1, 30.0)
    _, pid = next(results)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_processes_that_cannot_start_are_an_error_not_a_loop(monkeypatch):
    monkeypatch.setattr(workers, "_serve", quit_at_once)
    with pytest.raises(MMSAError, match=r"could not be started.*exit status 7"):
        run([("double", 1)])
