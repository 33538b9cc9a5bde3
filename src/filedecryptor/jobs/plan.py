"""The inputs, each with its output, and the outputs that would be one file."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import NamedTuple, TypeAlias

from filedecryptor.errors import Failure, FileDecryptorError, Outcome, UsageError, failed
from filedecryptor.jobs import job as jobs
from filedecryptor.jobs.job import AUTO, IfExists, Job, check_if_exists, size_of
from filedecryptor.storage import storage_of
from filedecryptor.storage.atomic import Written
from filedecryptor.storage.paths import is_plain, is_url, join, split

Place: TypeAlias = tuple[str, str]
"""A directory and a name in it."""

APPLE_DOUBLE = "._"
"""Prefix of AppleDouble files, which macOS writes on other file systems."""

LISTINGS = 2
"""Folders of stores that are remembered: that of the last inputs, and that of their outputs."""


def folded(name: str) -> str:
    """Return what is equal for names that a file system may take for one: by case or by accents."""
    if name.isascii():
        return name.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


class Places:
    """Decides which places are one: by links to directories, and by what disks ignore in names."""

    def __init__(self) -> None:
        self._directories: dict[str, tuple[str, str]] = {}

    def real(self, place: Place) -> Place:
        """Return what is equal for the same name in the same directory."""
        directory, name = place
        return self._real(directory)[0], name if is_url(directory) else os.path.normcase(name)

    def folded(self, place: Place) -> Place:
        """Return what is equal for places that some file system may take for one."""
        directory, name = place
        return self._real(directory)[1], name if is_url(directory) else folded(name)

    def roughly(self, place: Place) -> int:
        """Return a hash that is equal for places that some file system may take for one."""
        return hash(self.folded(place))

    def on_disk(self, place: Place, *, hard_links_differ: bool = False) -> Hashable:
        """Return what is equal for names of one file that is there; a symbolic link is another."""
        if not is_url(place[0]):
            with suppress(OSError):
                found = os.lstat(join(*place))
                if found.st_ino and not (hard_links_differ and found.st_nlink > 1):
                    return found.st_dev, found.st_ino
        return self.real(place)

    def _real(self, directory: str) -> tuple[str, str]:
        if directory not in self._directories:
            real = storage_of(directory).real_path(directory)
            self._directories[directory] = real, real if is_url(directory) else folded(real)
        return self._directories[directory]


class _Folder(NamedTuple):
    """Recordings in one directory, and the directory that their outputs go to."""

    path: str
    output_dir: str
    names: list[str]
    links: list[str]
    """Those of the names that are symbolic links."""

    is_named: bool = False
    """Whether they were named one by one."""


class Plan:
    """The jobs of a batch: every input is found, and every output is that of one input only.

    Only the names of the inputs are held, so a million of them fit in memory. `failures` is what
    could not be searched and what must not be done, `empty` the directories without a recording,
    `links` those to directories, which are not followed. If the plan is distributed, its jobs do
    not see what others have written: outputs that only some disks take for one are refused too.
    """

    def __init__(
        self,
        sources: Iterable[str],
        extension: str,
        *,
        output_dir: str | None = None,
        if_exists: IfExists = "replace",
        verify: bool = False,
        unknown_as: str | None = None,
        is_distributed: bool = False,
    ) -> None:
        check_if_exists(if_exists)
        self.if_exists = if_exists
        if output_dir is not None and is_url(output_dir):
            output_dir = output_dir.rstrip("/")
        self._template = Job(
            "", extension, if_exists=if_exists, verify=verify, unknown_as=unknown_as
        )
        self._has_output_dir = output_dir is not None
        self.failures: list[Outcome] = []
        self.empty: list[str] = []
        self.links: list[str] = []
        self._folders: list[_Folder] = []
        self._listed: dict[str, Mapping[str, int | None]] = {}
        for source in sources:
            self._find(source, output_dir)
        places = Places()
        seen = self._drop_repeated(places)
        self._fail_colliding(places, seen, places.folded if is_distributed else places.real)
        if output_dir is not None and (len(self) or not self.failures):
            storage_of(output_dir).make_directory(output_dir)

    @property
    def has_objects(self) -> bool:
        """Whether any input or output is in an object store."""
        return any(is_url(folder.path) or is_url(folder.output_dir) for folder in self._folders)

    def __len__(self) -> int:
        return sum(len(folder.names) for folder in self._folders)

    def __iter__(self) -> Iterator[Job]:
        for folder in self._folders:
            for name in folder.names:
                yield self._template._replace(
                    input=join(folder.path, name),
                    named_after=join(folder.output_dir, name) if self._has_output_dir else None,
                )

    def check(self, job: Job, written: Written) -> Outcome | None:
        """Return the outcome of a job that needs no work: its output exists, or cannot be written."""
        try:
            return jobs.check(job, written, size_of=self._size_of)
        except (FileDecryptorError, OSError) as error:
            return failed(job.input, error)

    def _size_of(self, path: str) -> int | None:
        """Return the length of a file or an object; each folder of objects is listed once."""
        if not is_url(path):
            return size_of(path)
        directory, name = split(path)
        if directory not in self._listed:
            if len(self._listed) == LISTINGS:
                del self._listed[next(iter(self._listed))]
            self._listed[directory] = storage_of(directory).sizes_in(directory)
        return self._listed[directory].get(name)

    def _find(self, source: str, output_dir: str | None) -> None:
        storage = storage_of(source)
        if not storage.is_directory(source):
            path, name = split(source)
            folder = _Folder(
                path, path if output_dir is None else output_dir, [], [], is_named=True
            )
            last = self._folders[-1:]
            if last and last[0].is_named and last[0][:2] == folder[:2]:
                folder = last[0]
            else:
                self._folders.append(folder)
            folder.names.append(name)
            if os.path.islink(source):
                folder.links.append(name)
            return
        before = len(self._folders)
        root = join(source, "")
        for path, all_names, links in storage.recordings_below(
            source, self._fail, self.links.append
        ):
            below = path[len(root) :]
            target = path if output_dir is None else join(output_dir, below)
            names = [name for name in all_names if not name.startswith(APPLE_DOUBLE)]
            if is_url(source) and not is_url(target):
                names = [name for name in names if self._is_safe(path, below, name)]
            if names:
                self._folders.append(_Folder(path, target, names, links))
        if len(self._folders) == before:
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

    def _keep(self, is_wanted: Callable[[Place], bool]) -> None:
        for folder in self._folders:
            folder.names[:] = [name for name in folder.names if is_wanted((folder.path, name))]

    def _drop_repeated(self, places: Places) -> set[int]:
        """Leave each recording where it was named first; return the hashes of all.

        Hashes take a fraction of the memory that paths would; a hit is looked into.
        """
        seen: set[int] = set()
        again = _repeated(map(places.roughly, self._recordings()), seen)
        found: set[Hashable] = set()

        def is_first(place: Place) -> bool:
            if places.roughly(place) not in again:
                return True
            key = places.on_disk(place, hard_links_differ=True)
            is_new = key not in found
            found.add(key)
            return is_new

        if again:
            self._keep(is_first)
        return seen

    def _fail_colliding(
        self, places: Places, seen: set[int], key: Callable[[Place], Hashable]
    ) -> None:
        """Let those fail whose output would replace an input, or has the same key as another.

        An input that is a link stands for what it leads to as well; an output that is one would
        be replaced itself. `seen` has the hashes of the recordings.
        """
        seen.update(places.roughly(place) for _, place in self._linked())
        shared = _repeated((places.roughly(place) for _, place in self._outputs()), seen)
        if not shared:
            return
        inputs: dict[Hashable, Place] = {}
        recordings = ((place, place) for place in self._recordings())
        for source, place in chain(recordings, self._linked()):
            if places.roughly(place) in shared:
                inputs.setdefault(places.on_disk(place), source)
        outputs: dict[Hashable, Place] = {}
        colliding: dict[Place, UsageError] = {}
        for source, place in self._outputs():
            if places.roughly(place) not in shared:
                continue
            replaced = inputs.get(places.on_disk(place))
            other = outputs.setdefault(key(place), source)
            # Whether `auto` would replace the input itself, the audio tells.
            if replaced and not (replaced == source and self._template.extension == AUTO):
                colliding.setdefault(source, _replacing(source, replaced))
            elif other != source:
                colliding.setdefault(source, _sharing(other))
                colliding.setdefault(other, _sharing(source))

        def is_free(source: Place) -> bool:
            if error := colliding.get(source):
                self._fail(join(*source), error)
            return error is None

        self._keep(is_free)

    def _recordings(self) -> Iterator[Place]:
        for folder in self._folders:
            for name in folder.names:
                yield folder.path, name

    def _linked(self) -> Iterator[tuple[Place, Place]]:
        """Yield every recording that is a link, and where it leads to."""
        for folder in self._folders:
            for name in folder.links:
                source = folder.path, name
                yield source, split(os.path.realpath(join(*source)))

    def _outputs(self) -> Iterator[tuple[Place, Place]]:
        """Yield every recording with each place where its output may go."""
        for folder in self._folders:
            for name in folder.names:
                for target in self._template._replace(input=name).targets():
                    yield (folder.path, name), (folder.output_dir, target)


def _repeated(hashes: Iterable[int], seen: set[int]) -> set[int]:
    """Add hashes to those seen before; return those that had been among them."""
    again: set[int] = set()
    for value in hashes:
        (again if value in seen else seen).add(value)
    return again


def _replacing(source: Place, replaced: Place) -> UsageError:
    if replaced == source:
        return UsageError("the output would replace the input")
    return UsageError(f"its output would replace the input {join(*replaced)!r}")


def _sharing(other: Place) -> UsageError:
    return UsageError(
        f"it would have the same output as {join(*other)!r}",
        hint="decrypt them one after the other, with other names or directories",
    )
