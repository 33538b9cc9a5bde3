"""Many jobs side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import closing
from itertools import chain
from typing import TypeAlias, cast

from filedecryptor.core.crypto import load
from filedecryptor.core.decryptor import OnProgress
from filedecryptor.core.secrets import PasswordOrPasswords, Passwords, Secret
from filedecryptor.errors import Outcome, UnavailableError, UsageError, WorkerError, failed
from filedecryptor.jobs.job import Job, try_job
from filedecryptor.jobs.outputs import AUTO, IfExists
from filedecryptor.jobs.plan import Plan
from filedecryptor.jobs.workers import (
    Workers,
    affordable,
    ended_with,
    in_threads,
    memory_of_each,
    submit_bounded,
    usable_cpus,
)
from filedecryptor.lanes.keys import Keys, warn_by_python
from filedecryptor.storage import UNCONDITIONAL
from filedecryptor.storage.atomic import Written
from filedecryptor.storage.paths import clean_extension, is_url

FAILURES_IN_A_ROW = 20  # recordings that a store fails for, none answered, until it is given up

Said: TypeAlias = Outcome | str  # what became of a job, or what has to be known besides


def decrypt_files(
    sources: Iterable[str | os.PathLike[str]],
    password: PasswordOrPasswords,
    output_extension: str = AUTO,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    if_exists: IfExists = "replace",
    jobs: int | None = None,
    executor: Executor | None = None,
    on_progress: Callable[[str, int], object] = lambda _input, _count: None,
) -> Iterator[Outcome]:
    """Decrypt many recordings side by side; one failure does not stop the others.

    The work is done while the result is iterated over. Closing it early abandons what is left;
    no output is left half-written.

    Args:
        sources: `.enc` files, and directories, of which every `*.enc` below is taken.
        password: The `recordCallPassword` in force when the calls were recorded, or several that
            are tried in turn.
        output_extension: Replaces the last suffix of each name, with or without its dot; `auto`,
            the default, stands for the format of the audio.
        output_dir: Where the outputs go instead of beside their inputs, with the subfolders of
            a source that is a directory. It is made if it is not there.
        if_exists: What to do about an output that is already there: `replace` it, `skip` the
            work if it is as long as the audio (and else replace it), or `fail`.
        jobs: Files worked on at once; the CPUs that this process may use if None.
        executor: Runs the work, in groups, instead of threads of our own, and is left running;
            `jobs` is then how many files it works on at once.
        on_progress: Called with the `input` of an outcome that is still to come and a number of
            bytes, after each piece of its audio that has been decrypted; for several passwords,
            each piece may come several times. Any thread of this process may call it, but an
            `executor` does not. What it raises ends the work, and is raised by the iteration.

    Returns:
        What became of each recording, in the order they end. One that is named twice is done once;
        those that share an output have failed. Audio among several sources is skipped, with a note.

    Raises:
        UsageError: The extension is unusable, there is no password, or the sources are a single
            path.
        StorageError: An object store refused to list the sources, or failed for many recordings
            in a row.
        OSError: The output directory cannot be made.
    """
    if isinstance(sources, (str, bytes, os.PathLike)):  # whose letters would be taken for paths
        raise UsageError("the sources are not a list of paths, but one path")
    plan = Plan(
        (os.fspath(source) for source in sources),
        Job("", clean_extension(output_extension), if_exists=if_exists),
        None if output_dir is None else os.fspath(output_dir),
        is_distributed=executor is not None,
    )
    passwords = Passwords.of(password)
    plan.make_output_dir()
    return run_plan(plan, passwords, Workers(jobs, executor), on_progress=on_progress)


def run_plan(
    plan: Plan,
    password: Secret,
    workers: Workers,
    *,
    warn: Callable[[str], object] = warn_by_python,
    on_progress: Callable[[str, int], object] = lambda _input, _count: None,
) -> Generator[Outcome]:
    """Do all jobs of a plan, a bounded number of them under way at any time; yield their outcomes.

    `warn` is called with what has to be known, though no recording fails for it; `on_progress`
    with an input and a number of bytes after each piece of work, from any thread of this process.
    """
    failures = 0
    said: set[str] = set()
    jobs = workers.jobs or usable_cpus()
    if workers.executor is None:
        running = _in_threads(plan, password, jobs, on_progress)
    else:
        running = _by_executor(plan, GroupWork(password), workers.executor, jobs, workers.watch)
    with closing(running):
        for each in chain(plan.failures, running):
            if isinstance(each, str):
                if each not in said:
                    warn(each)
                said.add(each)
                continue
            outcome = (each.error and plan.passed_over(each.input, each.error)) or each
            yield outcome._replace(note=None) if outcome.note in said else outcome
            if outcome.note == UNCONDITIONAL:  # each worker finds it out for itself
                said.add(UNCONDITIONAL)
            failures = failures + 1 if isinstance(outcome.error, UnavailableError) else 0
            if failures == FAILURES_IN_A_ROW:
                raise UnavailableError(
                    f"the store failed for {failures} recordings in a row; the rest is not tried",
                    hint="run this again with --if-exists skip once it answers",
                )


def _by_executor(
    plan: Plan,
    work: GroupWork,
    executor: Executor,
    jobs: int,
    watch: Callable[[float], object] | None,
) -> Generator[Said]:
    # A task costs some milliseconds, a group of a hundred jobs takes seconds. With 16 groups for each
    # file worked on, the last one to end is short; with four of them submitted, no worker waits.
    size = max(1, min(100, len(plan) // (jobs * 16)))

    def submit(group: list[Job] | Outcome) -> Future[list[Said]]:
        if isinstance(group, Outcome):
            return ended_with([group])
        try:
            return executor.submit(work, group)
        except BrokenExecutor as error:
            return ended_with(_worker_failures(group, error))

    ended = submit_bounded(_groups(plan, size), submit, lambda: jobs * 4, watch)
    with closing(ended):
        for group, future in ended:
            try:
                yield from future.result()
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the worker raised it, or died
                yield from _worker_failures(cast("list[Job]", group), error)


class GroupWork:
    """Does a group of jobs, perhaps on another machine. The password shows in no `repr` of it."""

    def __init__(self, password: Secret) -> None:
        self._password = Passwords.of(password)

    def __dask_tokenize__(self) -> str:
        """Return what Dask may name tasks after: nothing that follows from the password."""
        return os.urandom(16).hex()

    def __call__(self, group: list[Job]) -> list[Said]:
        """Do the jobs, one file on the processor at a time."""
        return list(map(_placed, _in_threads(group, self._password, 1)))


def _placed(outcome: Said) -> Said:
    """Return an outcome whose error says on which worker of Dask's it happened, if on one."""
    distributed = sys.modules.get("distributed")
    if isinstance(outcome, str) or outcome.error is None or distributed is None:
        return outcome
    error = outcome.error
    try:
        place = f" (on worker {distributed.get_worker().address})"
    except ValueError:  # it is another executor
        return outcome
    if isinstance(error, OSError):
        # Only what it was made of is sent along with one.
        error = OSError(error.errno, f"{error.strerror or error}{place}", error.filename)
    else:
        error.cause += place
    return outcome._replace(error=error)


def _groups(plan: Plan, size: int) -> Iterator[list[Job] | Outcome]:
    """Yield the jobs that need work in groups, and the outcomes of those that need none."""
    group: list[Job] = []
    for job in plan:
        if outcome := plan.without_work(job, Written()):
            yield outcome
            continue
        group.append(job)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _worker_failures(group: list[Job], error: Exception) -> list[Said]:
    """Return the failed outcomes of a group whose worker raised an error or died."""
    place = getattr(error, "last_worker", None)  # Dask knows it if the whole worker has ended
    worker = "the worker" if place is None else f"worker {place.address}"
    cause = f"{worker} ended with {type(error).__name__}"
    hint = "it may be done all the same: run this again with --if-exists skip"
    return [failed(job.input, WorkerError(cause, hint=hint, filename=job.input)) for job in group]


def _in_threads(
    items: Plan | list[Job],
    password: Secret,
    jobs: int,
    on_progress: Callable[[str, int], object] = lambda _input, _count: None,
) -> Generator[Said]:
    """Do the jobs of a plan, or some that have been checked already."""
    plan = items if isinstance(items, Plan) else None
    paths = () if plan else (path for job in items for path in (job.input, job.named_after or ""))
    has_objects = plan.has_objects if plan else any(map(is_url, paths))
    keys = Keys(jobs, 0 if plan and plan.job.if_exists != "replace" else len(items))
    passwords = Passwords.of(password)
    load()  # where memory or files to open are scarce, this fails once, here
    written = Written()
    # The processors are busy while a file is flushed, or while a store gives its three answers.
    fewest = jobs * (4 if has_objects else 2)

    def threads() -> int:
        return affordable(max(fewest, keys.threads))

    def work(job: Job, advance: OnProgress) -> Outcome:
        limit = memory_of_each(threads())
        options = {"use_key": keys.use, "memory_limit": limit, "on_progress": advance}
        return try_job(job, passwords, written=written, **options)

    outcomes = in_threads(
        items,
        work,
        check=lambda job: plan.without_work(job, written) if plan else None,
        threads=threads,
        on_progress=lambda job, count: on_progress(job.input, count),
    )
    with closing(outcomes):
        for outcome in outcomes:
            yield outcome
            if news := keys.news():
                yield news
