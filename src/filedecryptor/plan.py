"""Many jobs: find the recordings, each once, and know every output before anything is done."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from filedecryptor import job as jobs
from filedecryptor.errors import Failure, FileDecryptorError, UsageError
from filedecryptor.existing import IfExists, check_if_exists, size_of
from filedecryptor.job import AUTO, Job
from filedecryptor.outcome import Outcome, failed
from filedecryptor.storage import storage_of
from filedecryptor.storage.names import is_plain, is_url, join, split
from filedecryptor.storage.outputs import Written
from filedecryptor.storage.places import Place, Places

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
