"""Jobs run one at a time in their own processes, can be followed and stopped, and never lie about their state."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipelines.jobs import Job, JobError, JobState, JobStore
from pipelines.jobs.lock import FileLock
from pipelines.jobs.process import end_group, is_alive, start, started_at
from pipelines.jobs.progress import failure_cause, read_log, read_progress

REPOSITORY = Path(__file__).resolve().parents[2]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this should have happened by now"
        time.sleep(0.02)


@pytest.fixture
def store(tmp_path: Path):
    store = JobStore(tmp_path / "jobs")
    yield store
    for job in store.jobs():
        store.cancel(job.id)
    wait(lambda: not store.runner_is_alive())


def test_a_job_runs_to_its_end_and_leaves_outputs_progress_and_log(store: JobStore) -> None:
    code = (
        "import json, pathlib, sys; folder = pathlib.Path(sys.argv[1]);"
        "(folder / 'outputs' / 'volumes.txt').write_text('12 ml');"
        "(folder / 'events.jsonl').write_text(json.dumps({'time': 5.0, 'stage': 'predict', 'step': 3, 'total': 4,"
        " 'message': 'window 3', 'dice': 0.5}) + chr(10));"
        "print('one'); print('two', file=sys.stderr)"
    )
    job = store.submit("predict", "A study", [*python(code), "{job}"], owner="me", context={"study": "abc"})
    wait(lambda: store.get(job.id).state.over)
    done = store.get(job.id)
    assert done.state is JobState.FINISHED
    assert done.exit_code == 0
    assert (done.outputs / "volumes.txt").read_text() == "12 ml"
    assert store.log_tail(done) == ["one", "two"]
    progress = store.progress(done)
    assert (progress.stage, progress.step, progress.total, progress.fraction) == ("predict", 3, 4, 0.75)
    assert progress.metrics == {"dice": 0.5}
    assert [found.id for found in store.jobs("me")] == [job.id]
    assert store.jobs("someone else") == []
    assert done.context == {"study": "abc"}
    assert done.started is not None
    assert done.seconds(now=done.started + 1000) < 100  # an ended job no longer counts


def test_the_modules_of_this_repository_can_be_run_from_any_folder(store: JobStore) -> None:
    job = store.submit("check", "Import", python("import pipelines, framework; print(pipelines.__name__)"))
    wait(lambda: store.get(job.id).state.over)
    assert store.log_tail(store.get(job.id)) == ["pipelines"]


def test_jobs_run_one_at_a_time_in_the_order_of_their_coming(store: JobStore, tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    code = (
        "import sys, time; file = open(sys.argv[1], 'a');"
        "file.write('start ' + sys.argv[2] + chr(10)); file.flush(); time.sleep(0.25);"
        "file.write('end ' + sys.argv[2] + chr(10))"
    )
    jobs = [store.submit("sleep", name, [*python(code), str(trace), name]) for name in "abc"]
    assert store.waiting_before(jobs[2]) >= 1
    wait(lambda: all(job.state.over for job in store.jobs()))
    assert trace.read_text().split("\n")[:-1] == ["start a", "end a", "start b", "end b", "start c", "end c"]


def test_cancel_ends_the_whole_family_within_two_seconds(store: JobStore, tmp_path: Path) -> None:
    # The worst case: parent and child both ignore the polite signal.
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    code = (
        "import pathlib, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}]);"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid)); time.sleep(60)"
    )
    note = tmp_path / "child.txt"
    job = store.submit("stubborn", "Stubborn", [*python(code), str(note)])
    wait(lambda: note.exists() and note.read_text() != "")
    running = store.get(job.id)
    assert running.state is JobState.RUNNING
    before = time.monotonic()
    stopped = store.cancel(job.id)
    assert time.monotonic() - before <= 3.0  # two seconds, and slack for a busy machine
    assert stopped.state is JobState.CANCELLED
    assert not is_alive(running.pid, running.pid_started)
    wait(lambda: started_at(int(note.read_text())) is None or _is_zombie(int(note.read_text())), 2.0)
    assert store.get(job.id).state is JobState.CANCELLED


def test_a_queued_job_that_is_cancelled_never_starts(store: JobStore, tmp_path: Path) -> None:
    first = store.submit("sleep", "First", python("import time; time.sleep(30)"))
    flag = tmp_path / "flag"
    second = store.submit(
        "touch", "Second", [*python("import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"), str(flag)]
    )
    assert store.cancel(second.id).state is JobState.CANCELLED
    wait(lambda: store.get(first.id).state is JobState.RUNNING)
    store.cancel(first.id)
    wait(lambda: not store.runner_is_alive())
    assert not flag.exists()
    assert store.get(second.id).state is JobState.CANCELLED


def test_a_failure_keeps_its_code_and_names_its_cause(store: JobStore) -> None:
    code = "import sys; print('reading'); sys.exit('study.nii.gz: the file ends too early. Copy it again.')"
    job = store.submit("predict", "Broken", python(code))
    wait(lambda: store.get(job.id).state.over)
    failed = store.get(job.id)
    assert failed.state is JobState.FAILED
    assert failed.exit_code == 1
    assert failed.cause == "study.nii.gz: the file ends too early. Copy it again."


def test_a_program_that_does_not_exist_is_a_failed_job_and_the_next_one_runs(store: JobStore) -> None:
    bad = store.submit("predict", "No program", ["/no/such/program"])
    good = store.submit("predict", "Fine", python("pass"))
    wait(lambda: store.get(good.id).state.over)
    assert store.get(bad.id).state is JobState.FAILED
    assert "could not be started" in store.get(bad.id).cause
    assert store.get(good.id).state is JobState.FINISHED


def test_a_job_outlives_the_process_that_handed_it_in(store: JobStore) -> None:
    code = (
        "import sys; from pathlib import Path; from pipelines.jobs import JobStore;"
        "command = [sys.executable, '-c', 'import time; time.sleep(0.5); print(7)'];"
        "print(JobStore(Path(sys.argv[1])).submit('sleep', 'Outlives', command).id)"
    )
    result = subprocess.run(
        [*python(code), str(store.folder)], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=30
    )
    job_id = result.stdout.strip()
    wait(lambda: store.get(job_id).state.over)
    assert store.get(job_id).state is JobState.FINISHED
    assert store.log_tail(store.get(job_id)) == ["7"]


def test_when_process_and_runner_are_gone_the_job_counts_as_interrupted(store: JobStore) -> None:
    job = store.submit("sleep", "Power cut", python("import time; time.sleep(60)"))
    wait(lambda: store.get(job.id).state is JobState.RUNNING)
    runner = json.loads((store.folder / "runner.json").read_text())
    psutil.Process(runner["pid"]).kill()
    wait(lambda: not store.runner_is_alive())
    running = store.get(job.id)
    assert running.state is JobState.RUNNING  # the orphan still works
    assert running.pid is not None
    psutil.Process(running.pid).kill()
    wait(lambda: store.get(job.id).state is JobState.INTERRUPTED)
    assert "Start the job again" in store.get(job.id).cause


def test_a_new_runner_waits_for_the_orphan_of_a_killed_one(store: JobStore) -> None:
    first = store.submit("sleep", "Orphan", python("import time; time.sleep(1.0)"))
    wait(lambda: store.get(first.id).state is JobState.RUNNING)
    psutil.Process(json.loads((store.folder / "runner.json").read_text())["pid"]).kill()
    wait(lambda: not store.runner_is_alive())
    second = store.submit("sleep", "Next", python("pass"))
    wait(lambda: store.get(second.id).state.over)
    after = store.get(second.id)
    assert after.state is JobState.FINISHED
    assert store.get(first.id).state is JobState.INTERRUPTED
    assert after.started is not None
    assert after.started - float(store.get(first.id).started or 0.0) >= 0.9


def test_resume_takes_up_a_queue_that_a_restart_left_behind(store: JobStore) -> None:
    folder = store.folder / "00aa00aa00aa00aa"
    (folder / "outputs").mkdir(parents=True)
    job = Job(
        id=folder.name, folder=folder, kind="x", title="Left", command=tuple(python("print(1)")), created=time.time()
    ).write()
    store.resume()
    wait(lambda: store.get(job.id).state.over)
    assert store.get(job.id).state is JobState.FINISHED


def test_a_process_that_inherited_the_number_is_left_alone(tmp_path: Path) -> None:
    stranger = start(python("import time; time.sleep(60)"), tmp_path / "log.txt", tmp_path)
    try:
        born = started_at(stranger.pid)
        assert born is not None
        assert is_alive(stranger.pid, born)
        assert not is_alive(stranger.pid, born - 3600.0)
        end_group(stranger.pid, born - 3600.0, grace=0.1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_folder_names_are_random_and_private(store: JobStore) -> None:
    job = store.submit("predict", "Doe, Jane", python("pass"), owner="me")
    assert "doe" not in str(job.folder).lower()
    assert len(job.id) == 16
    if os.name == "posix":
        assert job.folder.stat().st_mode & 0o077 == 0
    wait(lambda: store.get(job.id).state.over)


def test_a_job_that_is_over_can_be_deleted_with_its_outputs(store: JobStore) -> None:
    job = store.submit("sleep", "Long", python("import time; time.sleep(30)"))
    with pytest.raises(JobError, match="Cancel it first"):
        store.delete(job.id)
    store.cancel(job.id)
    store.delete(job.id)
    assert not job.folder.exists()
    assert store.jobs() == []


@pytest.mark.parametrize("name", ["../../etc", "", "nosuchjob", "a/b"])
def test_an_unknown_job_is_refused_in_one_sentence(store: JobStore, name: str) -> None:
    with pytest.raises(JobError, match="job"):
        store.get(name)


def test_unreadable_folders_do_not_hide_the_readable_ones(store: JobStore) -> None:
    for name, text in {"aa": "{", "bb": '{"id": "other"}', "cc": "[]"}.items():
        (store.folder / name).mkdir(parents=True)
        (store.folder / name / "job.json").write_text(text)
    job = store.submit("x", "Good", python("pass"))
    assert [found.id for found in store.jobs()] == [job.id]
    wait(lambda: store.get(job.id).state.over)


def test_progress_passes_over_a_line_that_is_still_being_written(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    assert read_progress(events).stage == ""
    events.write_text('{"stage": "train", "step": 1, "total": 10}\n{"stage": "train", "st')
    assert read_progress(events).step == 1
    events.write_text('{"stage": "x", "step": 30, "total": 20}\n')
    assert read_progress(events).fraction == 1.0
    events.write_text('{"time": "2026-11-23T05:00:00+00:00", "stage": "x", "step": null, "total": null}\n')
    assert read_progress(events).time == 1795410000.0
    assert read_progress(events).fraction == 0.0


def test_only_the_end_of_a_long_events_file_is_read(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(
        "".join(json.dumps({"stage": "train", "step": step, "total": 20000}) + "\n" for step in range(20000))
    )
    assert read_progress(events).step == 19999


def test_a_log_is_shown_without_colours_and_overwritten_bars(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"\x1b[31mred\x1b[0m\n  10%\r  50%\r 100%\n\n\xff\xfe\nlast\n")
    assert read_log(log) == ["red", " 100%", "\ufffd\ufffd", "last"]
    assert read_log(log, lines=1) == ["last"]


def test_the_cause_of_a_failure(tmp_path: Path) -> None:
    events, log = tmp_path / "events.jsonl", tmp_path / "log.txt"
    assert "said nothing" in failure_cause(3, events, log)
    assert "memory" in failure_cause(-9, events, log)
    assert "SIGSEGV" in failure_cause(-11, events, log)
    log.write_text("Traceback\nValueError: the grid is empty\n╰────────╯\n")
    assert failure_cause(1, events, log) == "ValueError: the grid is empty"
    log.write_text("Error: the study is not readable\n")
    assert failure_cause(1, events, log) == "the study is not readable"
    events.write_text('{"stage": "failed", "error": "Only 3 slices: at least 8 are needed."}\n')
    assert failure_cause(1, events, log) == "Only 3 slices: at least 8 are needed."


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire(timeout=0.0)
    assert not second.acquire(timeout=0.05)
    first.release()
    assert second.acquire(timeout=0.0)
    second.release()


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
