"""Many jobs: find the recordings, and know every output before anything is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple

from filedecryptor import job as jobs
from filedecryptor.errors import Failure, FileDecryptorError, UsageError
from filedecryptor.existing import IfExists, check_if_exists, size_of
from filedecryptor.job import AUTO, Job
from filedecryptor.outcome import Outcome, failed
from filedecryptor.storage import storage_of
from filedecryptor.storage.names import is_url, join, split
from filedecryptor.storage.outputs import Written
from filedecryptor.storage.places import Place, Places

APPLE_DOUBLE = "._"
"""How the names of files begin that macOS leaves beside others on foreign disks."""

LISTINGS = 2
"""Folders of stores that are remembered: that of the last inputs, and that of their outputs."""


class _Folder(NamedTuple):
    """The recordings in one directory, and the directory that their outputs go to.

    Attributes:
        path: The directory.
        output_dir: Where the outputs go.
        names: The recordings, sorted.
        links: Those of them that are symbolic links.
    """

    path: str
    output_dir: str
    names: list[str]
    links: list[str]


class Plan:
    """The jobs of a batch: every input is found, and every output is that of one input only.

    Only the names of the inputs are held, so a million of them fit in memory.

    Args:
        sources: Files, directories and addresses.
        extension: The extension of the outputs without its dot, or `auto`.
        output_dir: Where the outputs go instead of beside their inputs.
        if_exists: What to do about an output that exists already.
        verify: Authenticate only, write nothing.

    Attributes:
        failures: What could not be searched.
        empty: Directories without a recording.
        links: Links to directories, which are not followed.

    Raises:
        UsageError: An output would replace an input, or two inputs share one.
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
    ) -> None:
        check_if_exists(if_exists)
        if output_dir is not None and is_url(output_dir):
            output_dir = output_dir.rstrip("/")
        self._template = Job("", extension, if_exists=if_exists, verify=verify)
        self._has_output_dir = output_dir is not None
        self.failures: list[Outcome] = []
        self.empty: list[str] = []
        self.links: list[str] = []
        self._folders: list[_Folder] = []
        self._listed: dict[str, dict[str, int]] = {}
        for source in sources:
            self._find(source, output_dir)
        self._refuse_collisions()
        if output_dir is not None:
            storage_of(output_dir).make_directory(output_dir)

    @property
    def has_objects(self) -> bool:
        """Whether any input or output is in an object store."""
        return any(is_url(folder.path) or is_url(folder.output_dir) for folder in self._folders)

    def __len__(self) -> int:
        return sum(len(folder.names) for folder in self._folders)

    def __iter__(self) -> Iterator[Job]:
        for path, output_dir, names, _ in self._folders:
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
            self._folders.append(_Folder(path, target, [name], links))
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
        """Return the names of objects whose keys stay below the output directory.

        The others are recorded as failures.
        """
        staying = []
        for name in names:
            if all(map(_is_plain, (below + name).split("/"))):
                staying.append(name)
            else:
                error = FileDecryptorError("its name would choose another directory")
                self._fail(join(path, name), error)
        return staying

    def _fail(self, path: str, error: Failure) -> None:
        error.filename = error.filename or path
        self.failures.append(failed(path, error))

    def _refuse_collisions(self) -> None:
        """Raise a `UsageError` if an output would replace an input, or the output of another.

        Paths are compared by name, in directories without links. An input that is a link stands
        for what it leads to as well; an output that is one would be replaced itself.
        """
        places = Places()
        # Hashes take a fraction of the memory that paths would; a hit is looked into.
        inputs = {places.roughly(place) for _, place in self._inputs()}
        outputs: set[int] = set()
        shared: set[int] = set()
        for _, place in self._outputs():
            key = places.roughly(place)
            if key in inputs or key in outputs:
                shared.add(key)
            outputs.add(key)
        if shared:
            self._refuse_one_of(shared, places, places.by_name)
            self._refuse_one_of(shared, places, places.on_disk)

    def _refuse_one_of(
        self, shared: set[int], places: Places, key_of: Callable[[Place], Hashable]
    ) -> None:
        """Raise a `UsageError` for the first real collision, if there is one.

        Args:
            shared: The hashes of all places that may be shared.
            places: What they were compared by.
            key_of: What they are to be compared by now.
        """
        inputs: dict[Hashable, Place] = {}
        for source, place in self._inputs():
            if places.roughly(place) in shared:
                inputs.setdefault(key_of(place), source)
        outputs: dict[Hashable, Place] = {}
        for source, place in self._outputs():
            if places.roughly(place) not in shared:
                continue
            key = key_of(place)
            # Whether `auto` would replace the input itself, the audio tells.
            if key in inputs and not (inputs[key] == source and self._template.extension == AUTO):
                raise UsageError(
                    f"its output would replace the input {join(*inputs[key])!r}",
                    filename=join(*source),
                )
            if key in outputs:
                raise UsageError(
                    f"it would have the same output as {join(*outputs[key])!r}",
                    hint="decrypt them one after the other, with other names or directories",
                    filename=join(*source),
                )
            outputs[key] = source

    def _inputs(self) -> Iterator[tuple[Place, Place]]:
        """Yield every input and where it is; one that is a link is also where that leads to."""
        for folder in self._folders:
            links = set(folder.links)
            for name in folder.names:
                source = folder.path, name
                yield source, source
                if name in links:
                    yield source, split(os.path.realpath(join(*source)))

    def _outputs(self) -> Iterator[tuple[Place, Place]]:
        """Yield every input with each place where its output may go."""
        for folder in self._folders:
            for name in folder.names:
                for target in self._template._replace(input=name).targets():
                    yield (folder.path, name), (folder.output_dir, target)


def _is_plain(part: str) -> bool:
    """Return whether a part of a key is the plain name of a file on this system."""
    is_name = part not in {"", ".", ".."} and os.path.split(part) == ("", part)
    return is_name and not os.path.splitdrive(part)[0] and "\0" not in part
