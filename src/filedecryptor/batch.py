"""Many jobs side by side: in threads, or on any executor."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from filedecryptor import decryptor
from filedecryptor.crypto import Password, load
from filedecryptor.decryptor import IfExists, Job, OnProgress, Outcome, Shared
from filedecryptor.errors import UnavailableError, UsageError, WorkerError
from filedecryptor.names import absolute, clean_extension, is_url
from filedecryptor.outputs import Written
from filedecryptor.plan import Plan
from filedecryptor.spool import MEMORY_LIMIT

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

Item = TypeVar("Item")

PATIENCE = 5.0
"""Seconds that abandoned work has to end in."""

THREADS_PER_JOB = 2
"""Threads for each file that is worked on: the processors are busy while files are flushed."""

THREADS_PER_OBJECT = 4
"""The same for object stores: a recording waits for three answers, each of some milliseconds."""

WATCH_INTERVAL = 5.0
"""Seconds without an outcome after which an executor is asked whether it is still there."""

MEMORY = 256 * 1024 * 1024
"""Bytes of audio that all threads together have in memory at most."""

MEMORY_FOR_OBJECTS = 64 * 1024 * 1024
"""The same where there are objects, each of which takes more to be sent."""

FAILURES_IN_A_ROW = 20
"""Recordings that a store fails for, with none among them that it answers, until it is given up."""

TASKS_PER_JOB = 4
"""Groups submitted to an executor for each file that is worked on, so that no worker waits."""

GROUPS_PER_JOB = 32
"""Groups for each file worked on, if there are enough files: the last one to end is then short."""

LARGEST_GROUP = 100
"""Jobs of a group: some seconds of work, against some milliseconds that a task costs."""


def decrypt_files(
    sources: Iterable[str | os.PathLike[str]],
    password: Password,
    output_extension: str,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    if_exists: IfExists = "replace",
    jobs: int | None = None,
    executor: Executor | None = None,
) -> Iterator[Outcome]:
    """Decrypt many recordings side by side; one failure does not stop the others.

    The work is done while the result is iterated over. Closing it early abandons what is left;
    no output is left half-written.

    Args:
        sources: `.enc` files, and directories, of which every `*.enc` below is taken.
        password: The `recordCallPassword` in force when the calls were recorded.
        output_extension: Replaces the last suffix of each name, with or without its dot; `auto`
            stands for the format of the audio.
        output_dir: Where the outputs go instead of beside their inputs, with the subfolders of
            a source that is a directory. It is made if it is not there.
        if_exists: What to do about an output that is already there: `replace` it, `skip` the
            work if it is as long as the audio (and else replace it), or `fail`.
        jobs: Files worked on at once; the CPUs that this process may use if None.
        executor: Runs the work, in groups, instead of threads of our own, and is left running;
            `jobs` is then how many files it works on at once.

    Returns:
        What became of each recording, in the order they end.

    Raises:
        UsageError: The extension is unusable, an output is an input, two inputs share one, or the
            sources are a single path.
        OSError: The output directory cannot be made.
    """
    if isinstance(sources, (str, bytes, os.PathLike)):  # whose letters would be taken for paths
        raise UsageError("the sources are not a list of paths, but one path")
    place = str if executor is None else absolute  # it may run in another directory
    plan = Plan(
        [place(os.fspath(source)) for source in sources],
        clean_extension(output_extension),
        output_dir=None if output_dir is None else place(os.fspath(output_dir)),
        if_exists=if_exists,
    )
    return run(plan, password, Workers(jobs, executor))


class Workers(NamedTuple):
    """What works on a plan.

    Attributes:
        jobs: Files worked on at once; the CPUs that this process may use if None.
        executor: Runs the work, in groups of jobs, instead of threads of our own.
        watch: Told every now and then for how many seconds no work has ended; raises what ends
            the waiting.
    """

    jobs: int | None = None
    executor: Executor | None = None
    watch: Callable[[float], object] | None = None


def run(
    plan: Plan,
    password: Password,
    workers: Workers,
    *,
    on_progress: Callable[[Job, int], object] | None = None,
) -> Generator[Outcome]:
    """Do all jobs of a plan, a bounded number of them under way at any time.

    Args:
        plan: What to do.
        password: The `recordCallPassword` in force when the calls were recorded.
        workers: What does it; an executor is left running.
        on_progress: Told a job and a number of bytes after each piece of work, from any thread;
            not told anything by an executor.

    Yields:
        What became of each recording, in the order they end.

    Raises:
        CancelledError: The executor does not do what it was given.
        UnavailableError: A store failed for many recordings in a row.
    """
    failures = 0
    with closing(_outcomes(plan, password, workers, on_progress)) as outcomes:
        for outcome in outcomes:
            yield outcome
            failures = failures + 1 if isinstance(outcome.error, UnavailableError) else 0
            if failures == FAILURES_IN_A_ROW:
                raise UnavailableError(
                    f"the store failed for {failures} recordings in a row; the rest is not tried",
                    hint="run this again with --if-exists skip once it answers",
                )


def _outcomes(
    plan: Plan,
    password: Password,
    workers: Workers,
    on_progress: Callable[[Job, int], object] | None,
) -> Generator[Outcome]:
    jobs, executor = workers.jobs or usable_cpus(), workers.executor
    yield from plan.failures
    if executor is None:
        yield from _side_by_side(
            plan,
            password,
            jobs,
            has_objects=plan.has_objects,
            check=plan.check,
            on_progress=on_progress,
        )
    else:
        size = max(1, min(LARGEST_GROUP, len(plan) // (jobs * GROUPS_PER_JOB)))
        work = GroupWork(password)

        def submit(group: list[Job]) -> Future[list[Outcome]]:
            return executor.submit(work, group)

        window = jobs * TASKS_PER_JOB
        yield from _windowed(_groups(plan, size), submit, window, _lost, workers.watch)


class GroupWork:
    """Does a group of jobs, perhaps on another machine. The password shows in no `repr` of it.

    Args:
        password: The `recordCallPassword` in force when the calls were recorded.
    """

    def __init__(self, password: Password) -> None:
        self._password = password

    def __dask_tokenize__(self) -> str:
        """Return what Dask may name tasks after: nothing that follows from the password."""
        from uuid import uuid4

        return uuid4().hex

    def __call__(self, group: list[Job]) -> list[Outcome]:
        """Do the jobs, one file on the processor at a time; return what became of each."""
        has_objects = any(is_url(job.input) or is_url(job.named_after or "") for job in group)
        outcomes = _side_by_side(
            group, self._password, 1, has_objects=has_objects, check=lambda _job, _written: None
        )
        return [_placed(outcome) for outcome in outcomes]


def _placed(outcome: Outcome) -> Outcome:
    """Return an outcome whose error says on which worker of Dask's it happened, if on one."""
    error = outcome.error
    distributed = sys.modules.get("distributed")
    if error is None or distributed is None:
        return outcome
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


def _groups(plan: Plan, size: int) -> Iterator[Outcome | list[Job]]:
    """Yield the jobs that need work in groups, and the outcomes of those that need none."""
    group: list[Job] = []
    for job in plan:
        if outcome := plan.check(job, Written()):
            yield outcome
            continue
        group.append(job)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _lost(group: list[Job], error: Exception) -> list[Outcome]:
    """Return the outcomes of jobs whose worker did not answer, but for an error of its own."""
    place = getattr(error, "last_worker", None)  # Dask knows it if the whole worker has ended
    worker = "the worker" if place is None else f"worker {place.address}"
    cause = f"{worker} ended with {type(error).__name__}"
    hint = "it may be done all the same: run this again with --if-exists skip"
    return [
        decryptor.failed(job, WorkerError(cause, hint=hint, filename=job.input)) for job in group
    ]


def _side_by_side(
    items: Iterable[Job],
    password: Password,
    jobs: int,
    *,
    has_objects: bool,
    check: Callable[[Job, Written], Outcome | None],
    on_progress: Callable[[Job, int], object] | None = None,
) -> Generator[Outcome]:
    from threading import Semaphore

    from filedecryptor.workers import affordable

    load()  # where memory or files to open are scarce, this is better said once, here
    threads = affordable(jobs * (THREADS_PER_OBJECT if has_objects else THREADS_PER_JOB))
    memory = (MEMORY_FOR_OBJECTS if has_objects else MEMORY) // threads
    shared = Shared(Written(), Semaphore(jobs), min(MEMORY_LIMIT, memory))

    def work(job: Job, advance: OnProgress) -> Outcome:
        return decryptor.attempt(job, password, shared=shared, on_progress=advance)

    yield from side_by_side(
        items,
        work,
        check=lambda job: check(job, shared.written),
        threads=threads,
        on_progress=on_progress,
    )


def side_by_side(
    items: Iterable[Item],
    work: Callable[[Item, OnProgress], Outcome],
    *,
    check: Callable[[Item], Outcome | None],
    threads: int,
    on_progress: Callable[[Item, int], object] | None,
) -> Generator[Outcome]:
    """Do some work for each item in threads, and yield the outcomes as they come.

    Args:
        items: What is to be worked on.
        work: Does it for one item, and tells its second argument the bytes done, which is also
            where work that nobody waits for any more ends.
        check: Returns the outcome of an item that needs no work.
        threads: How many threads, if the system gives as many.
        on_progress: Told an item and a number of bytes after each piece of work.
    """
    from filedecryptor.workers import Threads

    pool = Threads(threads)

    def task(item: Item) -> list[Outcome]:
        def advance(count: int) -> None:
            if pool.is_over:
                raise _AbandonedError
            if on_progress is not None:
                on_progress(item, count)

        return [work(item, advance)]

    try:
        to_do = (check(item) or item for item in items)
        yield from _windowed(to_do, partial(pool.submit, task), threads * 2)
    finally:
        pool.end(PATIENCE)


def _windowed(
    items: Iterable[Outcome | Item],
    submit: Callable[[Item], Future[list[Outcome]]],
    window: int,
    lost: Callable[[Item, Exception], list[Outcome]] | None = None,
    watch: Callable[[float], object] | None = None,
) -> Generator[Outcome]:
    """Submit the items, no more than `window` of them waiting or under way at any time.

    Args:
        items: What is to be done; outcomes among them are passed on.
        submit: Begins to work on an item.
        window: How many.
        lost: Returns the outcomes of an item whose work ended with an exception; if None, the
            exception ends everything.
        watch: See `Workers`.
    """
    from concurrent.futures import BrokenExecutor

    pending: dict[Future[list[Outcome]], Item] = {}
    try:
        for item in items:
            if isinstance(item, Outcome):
                yield item
                continue
            try:
                pending[submit(item)] = item
            except BrokenExecutor as error:
                if lost is None:
                    raise
                yield from lost(item, error)
            while len(pending) >= window:
                yield from _ended(pending, lost, watch)
        while pending:
            yield from _ended(pending, lost, watch)
    finally:
        for future in pending:
            future.cancel()


def _ended(
    pending: dict[Future[list[Outcome]], Item],
    lost: Callable[[Item, Exception], list[Outcome]] | None,
    watch: Callable[[float], object] | None,
) -> Iterator[Outcome]:
    """Wait until some of what is under way has ended; yield its outcomes, and take it out."""
    from concurrent.futures import FIRST_COMPLETED, CancelledError, wait

    begin = time.monotonic()
    while not (done := wait(pending, WATCH_INTERVAL if watch else None, FIRST_COMPLETED).done):
        if watch:
            watch(time.monotonic() - begin)
    for future in done:
        item = pending.pop(future)
        try:
            outcomes = future.result()
        except CancelledError:
            raise
        except Exception as error:
            if lost is None:
                raise
            outcomes = lost(item, error)
        yield from outcomes


class _AbandonedError(Exception):
    """Ends a job that nobody waits for any more; raised and lost in its thread."""


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
