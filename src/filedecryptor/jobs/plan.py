"""The inputs, each with its output, and the outputs that would be one file."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Hashable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from filedecryptor.errors import Failure, FileDecryptorError, Outcome, UsageError, failed
from filedecryptor.jobs import job as jobs
from filedecryptor.jobs.job import AUTO, IfExists, Job, check_if_exists, size_of
from filedecryptor.storage import storage_of
from filedecryptor.storage.names import is_plain, is_url, join, split
from filedecryptor.storage.output import SUFFIX, Written, random_name

Place: TypeAlias = tuple[str, str]
"""A directory and a name in it."""


class Folding(NamedTuple):
    """What a file system ignores in names: two that differ in nothing else are one file.

    Attributes:
        case: The case of letters.
        form: Whether an accent is part of its letter or follows it (Unicode normalisation).
    """

    case: bool = False
    form: bool = False

    def __call__(self, name: str) -> str:
        """Return a name without what is ignored."""
        if self.form and not name.isascii():
            name = unicodedata.normalize("NFD", name)
        if not self.case:
            return name
        folded = name.casefold()  # which may bring composed letters back
        return (
            unicodedata.normalize("NFD", folded) if self.form and not folded.isascii() else folded
        )


def folding(directory: str) -> Folding:
    """Return what the file system ignores in the names of a directory.

    A file is made there, and looked for by other names. Where none can be made, nothing can be
    written either.
    """
    name = random_name()
    with_accent = f"{name}\u00e9{SUFFIX}"
    return Folding(
        case=_are_one(directory, name + SUFFIX, (name + SUFFIX).upper()),
        form=_are_one(directory, with_accent, unicodedata.normalize("NFD", with_accent)),
    )


def _are_one(directory: str, name: str, other: str) -> bool:
    path = os.path.join(directory, name)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return os.path.lexists(os.path.join(directory, other))
    except (OSError, UnicodeEncodeError):  # the latter where no file can have such a name
        return False
    finally:
        with suppress(OSError, UnicodeEncodeError):
            os.unlink(path)


EVERYTHING = Folding(case=True, form=True)
"""What any file system may ignore."""


class _Disk(NamedTuple):
    """Where the outputs of a directory are to lie.

    Attributes:
        directory: The identity of the nearest directory that exists.
        missing: The path that is still to be made below it.
        folding: What is ignored in names there.
    """

    directory: Hashable
    missing: str
    folding: Folding


class Places:
    """Finds out which places are one; each directory is examined once."""

    def __init__(self) -> None:
        self._real_paths: dict[str, str] = {}
        self._roughly: dict[str, tuple[str, bool]] = {}
        self._disks: dict[str, _Disk] = {}

    def roughly(self, place: Place) -> int:
        """Return a hash that is equal for places that any file system may hold to be one."""
        directory, name = place
        if directory not in self._roughly:
            real = self._real_path(directory)
            is_disk = not is_url(directory)
            self._roughly[directory] = (EVERYTHING(real) if is_disk else real), is_disk
        real, is_disk = self._roughly[directory]
        return hash((real, EVERYTHING(name) if is_disk else name))

    def by_name(self, place: Place) -> Place:
        """Return what is equal for the same name in the same directory."""
        directory, name = place
        return self._real_path(directory), name if is_url(directory) else os.path.normcase(name)

    def of_file(self, place: Place) -> Hashable:
        """Return what is equal for names of one file that is there; a link is another file.

        Nothing is written to find that out.
        """
        directory, name = self.by_name(place)
        if not is_url(directory):
            with suppress(OSError):
                found = os.lstat(join(directory, name))
                if found.st_ino and found.st_nlink == 1:  # else another name may be meant
                    return found.st_dev, found.st_ino
        return directory, name

    def on_disk(self, place: Place) -> Hashable:
        """Return what is equal for names that are one where they are, or are to be."""
        directory, name = self.by_name(place)
        if is_url(directory):
            return directory, name
        disk = self._disk_of(directory)
        return disk.directory, disk.folding(disk.missing), disk.folding(name)

    def _real_path(self, directory: str) -> str:
        if directory not in self._real_paths:
            self._real_paths[directory] = storage_of(directory).real_path(directory)
        return self._real_paths[directory]

    def _disk_of(self, directory: str) -> _Disk:
        if directory not in self._disks:
            parent, name = os.path.split(directory)
            if os.path.isdir(directory) or parent == directory:
                self._disks[directory] = _Disk(_identity(directory), "", folding(directory))
            else:
                above = self._disk_of(parent)
                self._disks[directory] = above._replace(missing=join(above.missing, name))
        return self._disks[directory]


def _identity(directory: str) -> Hashable:
    """Return the identity of a directory, whatever its name."""
    try:
        found = os.stat(directory)
    except OSError:
        return directory
    return (found.st_dev, found.st_ino) if found.st_ino else directory


APPLE_DOUBLE = "._"
"""How the names of files begin that macOS leaves beside others on foreign disks."""

LISTINGS = 2
"""Folders of stores that are remembered: that of the last inputs, and that of their outputs."""


class _Folder(NamedTuple):
    """Recordings in one directory, and the directory that their outputs go to.

    Attributes:
        path: The directory.
        output_dir: Where the outputs go.
        names: The recordings.
        links: Those of them that are symbolic links.
        is_named: Whether they were named one by one.
    """

    path: str
    output_dir: str
    names: list[str]
    links: list[str]
    is_named: bool = False


class Plan:
    """The jobs of a batch: every input is found, and every output is that of one input only.

    Only the names of the inputs are held, so a million of them fit in memory.

    Args:
        sources: Files, directories and addresses.
        extension: The extension of the outputs without its dot, or `auto`.
        output_dir: Where the outputs go instead of beside their inputs.
        if_exists: What to do about an output that exists already.
        verify: Authenticate only, write nothing.
        unknown_as: With `auto`, the extension for audio that is not recognised.

    Attributes:
        failures: What could not be searched, and what must not be done.
        empty: Directories without a recording.
        links: Links to directories, which are not followed.
        if_exists: See above.

    Raises:
        OSError: The output directory cannot be made.
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
        self._listed: dict[str, dict[str, int]] = {}
        for source in sources:
            self._find(source, output_dir)
        places = Places()
        self._fail_colliding(places, self._drop_repeated(places))
        if output_dir is not None and (len(self) or not self.failures):
            storage_of(output_dir).make_directory(output_dir)

    @property
    def has_objects(self) -> bool:
        """Whether any input or output is in an object store."""
        return any(is_url(folder.path) or is_url(folder.output_dir) for folder in self._folders)

    def __len__(self) -> int:
        return sum(len(folder.names) for folder in self._folders)

    def __iter__(self) -> Iterator[Job]:
        for path, output_dir, names, *_ in self._folders:
            is_checked = is_url(output_dir) and self._template.if_exists != "replace"
            for name in names:
                yield self._template._replace(
                    input=join(path, name),
                    named_after=join(output_dir, name) if self._has_output_dir else None,
                    is_checked=is_checked,
                )

    def check(self, job: Job, written: Written) -> Outcome | None:
        """Return the outcome of a job that needs no work: its output exists, or cannot be written.

        Args:
            job: The job.
            written: The outputs that have been written for others.
        """
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
            from filedecryptor.storage.objects import sizes_in

            if len(self._listed) == LISTINGS:
                del self._listed[next(iter(self._listed))]
            self._listed[directory] = sizes_in(directory)
        return self._listed[directory].get(name)

    def _find(self, source: str, output_dir: str | None) -> None:
        storage = storage_of(source)
        if not storage.is_directory(source):
            path, name = split(source)
            links = [name] if os.path.islink(source) else []
            target = path if output_dir is None else output_dir
            last = self._folders[-1] if self._folders else None
            if last is None or not last.is_named or last[:2] != (path, target):
                last = _Folder(path, target, [], [], is_named=True)
                self._folders.append(last)
            last.names.append(name)
            last.links.extend(links)
            return
        before = len(self._folders)
        root = join(source, "")

        for path, all_names, links in storage.recordings_below(
            source, self._fail, self.links.append
        ):
            names = [name for name in all_names if not name.startswith(APPLE_DOUBLE)]
            if not names:
                continue
            below = path[len(root) :]
            target = path if output_dir is None else join(output_dir, below)
            if is_url(source) and not is_url(target):
                names = self._safe_names(path, below, names)
            self._folders.append(_Folder(path, target, names, links))
        if len(self._folders) == before:
            self.empty.append(source)

    def _safe_names(self, path: str, below: str, names: list[str]) -> list[str]:
        """Return those of the names that stay below the output directory; the others fail."""
        staying = []
        for name in names:
            if all(map(is_plain, (below + name).split("/"))):
                staying.append(name)
            else:
                error = FileDecryptorError("its name would choose another directory")
                self._fail(join(path, name), error)
        return staying

    def _fail(self, path: str, error: Failure) -> None:
        error.filename = error.filename or path
        self.failures.append(failed(path, error))

    def _drop_repeated(self, places: Places) -> set[int]:
        """Leave each recording where it was named first; return the hashes of all.

        Hashes take a fraction of the memory that paths would; a hit is looked into.
        """
        seen: set[int] = set()
        again: set[int] = set()
        for folder in self._folders:
            for name in folder.names:
                key = places.roughly((folder.path, name))
                (again if key in seen else seen).add(key)
        if not again:
            return seen
        found: set[Hashable] = set()

        def is_first(place: Place) -> bool:
            if places.roughly(place) not in again:
                return True
            key = places.of_file(place)
            is_new = key not in found
            found.add(key)
            return is_new

        for folder in self._folders:
            folder.names[:] = [name for name in folder.names if is_first((folder.path, name))]
        return seen

    def _fail_colliding(self, places: Places, inputs: set[int]) -> None:
        """Let those fail whose output would replace an input, or be the output of another.

        An input that is a link stands for what it leads to as well; an output that is one would
        be replaced itself.

        Args:
            places: Compares them.
            inputs: The hashes of the inputs, but for what links lead to.
        """
        inputs.update(places.roughly(place) for _, place in self._linked())
        outputs: set[int] = set()
        shared: set[int] = set()
        for _, place in self._outputs():
            key = places.roughly(place)
            if key in inputs or key in outputs:
                shared.add(key)
            outputs.add(key)
        if not shared:
            return
        colliding = self._colliding(shared, places)
        for folder in self._folders:
            kept = []
            for name in folder.names:
                if error := colliding.get((folder.path, name)):
                    self._fail(join(folder.path, name), error)
                else:
                    kept.append(name)
            folder.names[:] = kept

    def _colliding(self, shared: set[int], places: Places) -> dict[Place, UsageError]:
        """Return the inputs that really collide, with what is wrong.

        Args:
            shared: The hashes of all places that may be shared.
            places: What they were compared by.
        """
        inputs: dict[Hashable, Place] = {}
        for source, place in self._inputs():
            if places.roughly(place) in shared:
                inputs.setdefault(places.on_disk(place), source)
        outputs: dict[Hashable, Place] = {}
        colliding: dict[Place, UsageError] = {}
        for source, place in self._outputs():
            if places.roughly(place) not in shared:
                continue
            key = places.on_disk(place)
            other = outputs.setdefault(key, source)
            # Whether `auto` would replace the input itself, the audio tells.
            if key in inputs and not (inputs[key] == source and self._template.extension == AUTO):
                colliding.setdefault(source, _replacing(source, inputs[key]))
            elif other != source:
                colliding.setdefault(source, _sharing(other))
                colliding.setdefault(other, _sharing(source))
        return colliding

    def _inputs(self) -> Iterator[tuple[Place, Place]]:
        """Yield every input and where it is; one that is a link is also where that leads to."""
        for folder in self._folders:
            for name in folder.names:
                yield (folder.path, name), (folder.path, name)
        yield from self._linked()

    def _linked(self) -> Iterator[tuple[Place, Place]]:
        """Yield every input that is a link, and where it leads to."""
        for folder in self._folders:
            for name in folder.links:
                source = folder.path, name
                yield source, split(os.path.realpath(join(*source)))

    def _outputs(self) -> Iterator[tuple[Place, Place]]:
        """Yield every input with each place where its output may go."""
        for folder in self._folders:
            for name in folder.names:
                for target in self._template._replace(input=name).targets():
                    yield (folder.path, name), (folder.output_dir, target)


def _replacing(source: Place, replaced: Place) -> UsageError:
    if replaced == source:
        return UsageError("the output would replace the input")
    return UsageError(f"its output would replace the input {join(*replaced)!r}")


def _sharing(other: Place) -> UsageError:
    return UsageError(
        f"it would have the same output as {join(*other)!r}",
        hint="decrypt them one after the other, with other names or directories",
    )
