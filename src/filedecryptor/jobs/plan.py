"""The inputs, each with its output, and the outputs that would be one file."""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from itertools import chain
from typing import TypeAlias

from filedecryptor.core.format import SMALLEST_SIZE, Source
from filedecryptor.core.spool import Beginning
from filedecryptor.errors import (
    Failure,
    FileDecryptorError,
    NotEncError,
    Outcome,
    Status,
    UsageError,
    failed,
)
from filedecryptor.jobs.job import Job, do_job, size_of, without_work
from filedecryptor.jobs.outputs import check_if_exists, extensions_of, targets_of
from filedecryptor.storage import objects, storage_of
from filedecryptor.storage.atomic import Written, same_output
from filedecryptor.storage.disk import refuse_file
from filedecryptor.storage.paths import SUFFIX, absolute, is_plain, is_url, join, split

Place: TypeAlias = tuple[str, str]  # a directory and a name in it


def folded(name: str) -> str:
    """Return what is equal for names that a file system may take for one: by case or by accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def preview(
    job: Job,
    written: Written,
    source: Source | None = None,
    length_of: Callable[[str], int | None] = size_of,
) -> Outcome:
    """Return what would become of a job, as far as that can be told without doing it.

    Where the audio decides on the output, that is `a.{opus,mp3,wav}`, unless one of them is there
    that is as long as the audio.
    """
    try:
        if done := without_work(job, written, source, length_of):
            return done
        size = None if source else _audio_size(job, length_of(job.input))
        targets = targets_of(job)
        lengths = ((target, length_of(target)) for target in targets)
        there = {name: n for name, n in lengths if n is not None or os.path.islink(name)}
        if there and job.if_exists == "fail":
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), next(iter(there)))
        if targets:
            _check_directory(targets[0], is_made=job.named_after is not None)
    except (FileDecryptorError, OSError) as error:
        return failed(job.input, error)
    likely = [target for target, length in there.items() if length == size] or targets
    note = None
    if there and len(likely) > 1:
        note = f"{' or '.join(there)} would be replaced, if the audio has that format"
    status: Status = "to replace" if there else "to decrypt"
    return Outcome(job.input, _in_braces(likely), None, size, status, note=note)


def _audio_size(job: Job, length: int | None) -> int | None:
    """Return the length of a recording's audio, if it is known; raise what reading it would raise."""
    if length is None and is_url(job.input):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), job.input)
    if length is None:
        os.stat(job.input)
        return None  # a pipe, which would be waited for
    if length < SMALLEST_SIZE:
        do_job(job._replace(verify=True), b"")  # it ends before it has read a salt
    with storage_of(job.input).open_source(job.input):
        return length - SMALLEST_SIZE


def _check_directory(target: str, *, is_made: bool) -> None:
    """Raise an error if an output's directory, which perhaps `is_made` first, cannot take it."""
    if is_url(target) or (os.path.exists(target) and size_of(target) is None):  # a device
        return
    directory = os.path.dirname(target)
    if is_made:
        while directory and not os.path.lexists(directory):
            target, directory = directory, os.path.dirname(directory)
        refuse_file(directory)
    if not os.path.isdir(directory or os.curdir):
        os.lstat(target)  # which says why
    if not os.access(directory or os.curdir, os.W_OK | os.X_OK):
        code = errno.EACCES
        if sys.platform != "win32" and os.statvfs(directory or os.curdir).f_flag & os.ST_RDONLY:
            code = errno.EROFS
        raise OSError(code, os.strerror(code), target)


def _in_braces(names: Sequence[str]) -> str | None:
    """Return one name that stands for several, as in a shell."""
    start = os.path.commonprefix(names)  # noqa: RUF071 - of letters, not of directories
    ends = ",".join(name[len(start) :] for name in names)
    return f"{start}{{{ends}}}" if len(names) > 1 else start or None


class Plan:
    """The jobs of a batch: every input is found, and every output is that of one input only.

    Only the names of the inputs are held, so a million of them fit in memory. `failures` are those
    that must not be done, the directories that cannot be read, and audio that is passed over; `empty`
    are directories without a recording, `links` are links to directories, which are not followed. The
    jobs of a distributed plan do not see what others have written, so outputs that only some disks
    take for one fail too.
    """

    def __init__(
        self,
        sources: Iterable[str],
        job: Job,
        output_dir: str | None = None,
        *,
        is_distributed: bool = False,
    ) -> None:
        check_if_exists(job.if_exists)
        if is_distributed:  # to workers that run in other directories
            sources = map(absolute, sources)
            output_dir = None if output_dir is None else absolute(output_dir)
        self.job = job  # what all of them do, without an input
        if output_dir is not None and is_url(output_dir):
            output_dir = output_dir.rstrip("/")
        self._output_dir = output_dir
        self.failures: list[Outcome] = []
        self.empty: list[str] = []
        self.links: list[str] = []
        self._names: dict[tuple[str, str], list[str]] = defaultdict(list)  # by both directories
        self._linked: set[Place] = set()  # the recordings that are links
        self._real_path = cache(lambda path: storage_of(path).real_path(path))
        # Two folders of stores are remembered: that of the last inputs, and that of their outputs.
        self._sizes_in = lru_cache(2)(objects.sizes_in)
        self._count = 0
        for source in sources:
            self._count += 1
            self._find(source)
        if suspects := self._suspects():
            self._settle(suspects, fold=is_distributed)

    @property
    def has_objects(self) -> bool:
        """Whether any input or output is in an object store."""
        return any(map(is_url, chain.from_iterable(self._names)))

    def __len__(self) -> int:
        return sum(map(len, self._names.values()))

    def __iter__(self) -> Iterator[Job]:
        for (directory, name), output_dir in self._recordings():
            named_after = None if self._output_dir is None else join(output_dir, name)
            yield self.job._replace(input=join(directory, name), named_after=named_after)

    def make_output_dir(self, *, dry_run: bool = False) -> None:
        """Make the directory of the outputs, or say why that is not possible, if there will be any."""
        if self._output_dir is None or (self.failures and not len(self)):
            return
        if not dry_run:
            storage_of(self._output_dir).make_directory(self._output_dir)
        elif not os.path.isdir(self._output_dir):
            _check_directory(join(self._output_dir, "any"), is_made=True)

    def preview(self) -> Iterator[Outcome]:
        """Yield what would become of each recording; nothing is decrypted or written."""
        self.make_output_dir(dry_run=True)
        written = Written()
        yield from self.failures
        for job in self:
            yield preview(job, written, length_of=self._size_of)

    def without_work(self, job: Job, written: Written) -> Outcome | None:
        """Return the outcome of a job that needs no work: its output exists, or cannot be written."""
        try:
            return without_work(job, written, length_of=self._size_of)
        except (FileDecryptorError, OSError) as error:
            return self.passed_over(job.input) or failed(job.input, error)

    def passed_over(self, name: str, error: Failure | None = None) -> Outcome | None:
        """Return the outcome of one of several inputs if it is audio already, as its error shows.

        Without an error, its first bytes do. Audio that is called as recordings are is not passed
        over: nobody would find it.
        """
        if self._count == 1 or name.lower().endswith(SUFFIX):
            return None
        if error is None:
            from filedecryptor.audio.foreign import refusal

            with suppress(FileDecryptorError, OSError):
                if is_url(name) or os.path.isfile(name):  # a pipe could not be read again
                    with storage_of(name).open_source(name) as source:
                        error = refusal(Beginning(source, 0).head)
        if not (isinstance(error, NotEncError) and error.is_audio):
            return None
        return Outcome(name, None, None, None, "skipped", note=f"{error.cause}: passed over")

    def _size_of(self, path: str) -> int | None:
        """Return the length of a file or an object; each folder of objects is listed once."""
        if not is_url(path):
            return size_of(path)
        directory, name = split(path)
        return self._sizes_in(directory).get(name)

    def _find(self, source: str) -> None:
        storage = storage_of(source)
        if not storage.is_directory(source):
            path, name = split(source)
            output_dir = path if self._output_dir is None else self._output_dir
            self._names[path, output_dir].append(name)
            if os.path.islink(source):
                self._linked.add((path, name))
            return
        is_empty, failures = True, len(self.failures)
        root = join(source, "")
        for path, names, links in storage.recordings_below(source, self._fail, self.links.append):
            below = path[len(root) :]
            target = path if self._output_dir is None else join(self._output_dir, below)
            # AppleDouble files, which macOS writes on other file systems, are left out.
            wanted = [name for name in names if not name.startswith("._")]
            if is_url(source) and not is_url(target):
                wanted = [name for name in wanted if self._is_safe(path, below, name)]
            if wanted:
                is_empty = False
                self._names[path, target] += wanted
                self._linked.update((path, name) for name in links)
        if is_empty and len(self.failures) == failures:
            self.empty.append(source)

    def _is_safe(self, path: str, below: str, name: str) -> bool:
        """Return whether a name stays below the output directory; the recording fails if not."""
        is_safe = all(map(is_plain, (below + name).split("/")))
        if not is_safe:
            error = FileDecryptorError("its key is not a plain relative path")
            self._fail(join(path, name), error)
        return is_safe

    def _fail(self, path: str, error: Failure) -> None:
        error.filename = error.filename or path
        self.failures.append(failed(path, error))

    def _recordings(self) -> Iterator[tuple[Place, str]]:
        """Yield each recording, and the directory that its output goes to."""
        for (directory, output_dir), names in self._names.items():
            for name in names:
                yield (directory, name), output_dir

    def _suspects(self) -> set[Place]:
        """Return the recordings that may be named twice, or whose outputs may be in each other's way.

        Only a hash for each recording is held, since the paths would take a multiple of the memory.
        """
        extensions = extensions_of(self.job)
        suffixes = {part for name in extensions for part in folded(name).split(".")}

        def hashes(recording: Place, output_dir: str) -> set[int]:
            """Return one for each directory concerned, and what a name has in common with its outputs."""
            found = set()
            for directory, name in {recording, (output_dir, recording[1]), self._end_of(recording)}:
                stem = os.path.splitext(folded(name))[0]
                while stem and (parts := stem.rpartition("."))[2] in suffixes:
                    stem = parts[0]
                found.add(hash((folded(self._real_path(directory)), stem)))
            return found

        seen: set[int] = set()
        again: set[int] = set()
        for each in self._recordings():
            found = hashes(*each)
            again |= found & seen
            seen |= found
        if not again:
            return set()
        return {each[0] for each in self._recordings() if again & hashes(*each)}

    def _settle(self, suspects: set[Place], *, fold: bool) -> None:
        """Leave each recording where it was named first, and let those fail that collide."""
        first: dict[Hashable, tuple[Place, str]] = {}
        for each in self._recordings():
            if each[0] in suspects:
                first.setdefault(self._on_disk(each[0], hard_links_differ=True), each)
        for (directory, _), names in self._names.items():
            names[:] = [name for name in names if (directory, name) not in suspects]
        recordings = []
        for each in first.values():
            if outcome := self.passed_over(join(*each[0])):
                self.failures.append(outcome)
            else:
                recordings.append(each)
        colliding = self._colliding(recordings, fold=fold)
        for (directory, name), output_dir in recordings:
            if error := colliding.get((directory, name)):
                self._fail(join(directory, name), error)
            else:
                self._names[directory, output_dir].append(name)

    def _colliding(
        self, recordings: Collection[tuple[Place, str]], *, fold: bool
    ) -> dict[Place, UsageError]:
        """Return those whose output would replace another input, or is that of another.

        With `fold`, names that only some disks take for one are one. An input that is a link stands
        for what it leads to as well; an output that is one would be replaced itself.
        """
        inputs: dict[Hashable, Place] = {}
        for source, _ in recordings:
            inputs.setdefault(self._on_disk(source), source)
        for source, _ in recordings:
            inputs.setdefault(self._on_disk(self._end_of(source)), source)
        outputs: dict[Hashable, Place] = {}
        colliding: dict[Place, UsageError] = {}
        for source, output_dir in recordings:
            for target in targets_of(self.job._replace(input=source[1])):
                place = output_dir, target
                # Whether it would replace its own input, the disk tells, and with `auto` the audio.
                replaced = inputs.get(self._on_disk(place), source)
                other = outputs.setdefault(self._key(place, fold=fold), source)
                if replaced != source:
                    cause = f"its output would replace the input {join(*replaced)!r}"
                    colliding.setdefault(source, UsageError(cause))
                elif other != source:
                    colliding.setdefault(source, same_output(repr(join(*other))))
                    colliding.setdefault(other, same_output(repr(join(*source))))
        return colliding

    def _end_of(self, place: Place) -> Place:
        """Return where a recording that is a link leads; others as they are."""
        return split(os.path.realpath(join(*place))) if place in self._linked else place

    def _on_disk(self, place: Place, *, hard_links_differ: bool = False) -> Hashable:
        """Return what is equal for names of one file that is there; a symbolic link is another."""
        if not is_url(place[0]):
            with suppress(OSError):
                found = os.lstat(join(*place))
                if found.st_ino and not (hard_links_differ and found.st_nlink > 1):
                    return found.st_dev, found.st_ino
        return self._key(place)

    def _key(self, place: Place, *, fold: bool = False) -> Place:
        """Return what is equal for one name in one directory; with `fold`, for names alike."""
        directory, name = self._real_path(place[0]), place[1]
        if is_url(directory):
            return directory, name
        if fold:
            return folded(directory), folded(name)
        return directory, os.path.normcase(name)
