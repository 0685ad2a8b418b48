"""Work that crashes, hangs or raises: every task gets an answer, the rest goes on."""

import math
import os
import threading
import time

import pytest
from decoders import quit_at_once, work

from mmsa_lib import workers
from mmsa_lib.errors import MMSAError
from mmsa_lib.workers import Failure, Prefetch, run_guarded

pytestmark = pytest.mark.end_to_end


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


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 1e8])
def test_any_time_is_waited(seconds):
    assert run([("wait", 0.3), ("double", 1)], num_workers=1, seconds=seconds) == {0: 0.6, 1: 2}


@pytest.mark.parametrize("seconds", [math.nan, 0.0, -1.0, -math.inf])
def test_a_time_that_is_none_is_an_error(seconds):
    with pytest.raises(MMSAError, match=f"seconds per clip: {seconds:g} is not a time above 0"):
        run([("double", 1)], seconds=seconds)


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


def test_nothing_is_an_answer_too():
    assert run([("nothing", 0), ("double", 1), ("nothing", 2)]) == {0: None, 1: 2, 2: None}


class TestInOrder:
    def test_results_come_in_the_order_of_the_tasks(self):
        tasks = [("wait", 0.3), *(("double", i) for i in range(1, 12)), ("kill", 12), ("double", 13)]
        found = list(run_guarded(work, tasks, 2, 30.0, ahead=4))
        assert [index for index, _ in found] == list(range(14))
        assert [value for _, value in found[1:12]] == [2 * i for i in range(1, 12)]
        assert found[12][1] == Failure("the decoder crashed (SIGKILL)")

    def test_nothing_far_behind_an_unfinished_task_is_begun(self, tmp_path):
        tasks = [("wait", 1.0), *(("touch", str(tmp_path / f"{i}")) for i in range(1, 20))]
        results = run_guarded(work, tasks, 2, 30.0, ahead=5)
        assert next(results)[0] == 0
        begun = {int(p.name) for p in tmp_path.iterdir()}
        assert {1, 2, 3, 4} <= begun and max(begun) <= 9  # after the first was done, five more may begin
        assert [index for index, _ in results] == list(range(1, 20))

    def test_a_lost_task_is_tried_again_before_it_fails(self, tmp_path):
        tasks = [("kill once", str(tmp_path / "mark")), ("kill", 0), ("double", 2)]
        found = dict(run_guarded(work, tasks, 1, 30.0, ahead=2, retries=1))
        assert found == {0: "done", 1: Failure("the decoder crashed (SIGKILL)"), 2: 4}

    def test_an_error_is_not_tried_again(self, tmp_path):
        mark = tmp_path / "mark"
        found = dict(run_guarded(work, [("count and refuse", str(mark))], 1, 30.0, ahead=1, retries=3))
        assert found[0] == Failure("empty file") and mark.read_text() == "x"


class TestPrefetch:
    def test_items_arrive_in_order_and_the_wait_for_them_is_measured(self):
        def slow():
            for i in range(3):
                time.sleep(0.1)
                yield i

        with Prefetch(slow(), 2) as items:
            assert list(items) == [0, 1, 2]
        assert 0.2 < items.waited < 5

    def test_the_source_is_not_more_than_its_size_ahead(self):
        made = []

        def source():
            for i in range(50):
                made.append(i)
                yield i

        with Prefetch(source(), 3) as items:
            arriving = iter(items)
            next(arriving)
            time.sleep(0.3)
            assert len(made) <= 6

    def test_errors_are_raised_where_items_are_read(self):
        def broken():
            yield 1
            raise KeyError("lost")

        with Prefetch(broken(), 2) as items:
            arriving = iter(items)
            assert next(arriving) == 1
            with pytest.raises(KeyError, match="lost"):
                next(arriving)

    def test_leaving_early_closes_the_source(self):
        closed = threading.Event()

        def source():
            try:
                yield from range(100)
            finally:
                closed.set()

        with Prefetch(source(), 1) as items:
            next(iter(items))
        assert closed.wait(5)


def test_what_is_worth_another_try():
    found = run([(name, 3) for name in ("kill", "refuse", "bug", "disk", "hang")], seconds=2.0)
    assert [found[i].patience for i in range(5)] == [0, math.inf, math.inf, 0, 2]
