"""Many jobs: find the recordings, and know every output before anything is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from filedecryptor import decryptor, files
from filedecryptor.decryptor import AUTO, IF_EXISTS, IfExists, Job, Outcome
from filedecryptor.errors import FileDecryptorError, UsageError
from filedecryptor.folding import Folding, folding
from filedecryptor.names import SUFFIX, is_url, join, split
from filedecryptor.outputs import Written
from filedecryptor.storage import storage_of

APPLE_DOUBLE = "._"
"""What macOS begins the name of a file with that it leaves beside another on foreign disks."""

LISTINGS = 2
"""Folders of stores that are remembered: that of the last inputs, and that of their outputs."""

Place: TypeAlias = tuple[str, str]
"""A directory and a name in it."""


class _Folder(NamedTuple):
    """Recordings of one directory, and the directory that their outputs go to.

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
    """What is to be done: every input found, every output known to be one input's alone.

    Only the names of the inputs are held, so a million of them fit in memory.

    Attributes:
        failures: What could not even be searched.
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
        if if_exists not in IF_EXISTS:
            raise UsageError(f"if_exists is not one of {', '.join(IF_EXISTS)}")
        if output_dir is not None and is_url(output_dir):
            output_dir = output_dir.rstrip("/")
        self._pattern = Job("", extension, if_exists=if_exists, verify=verify)
        self._moves = output_dir is not None
        self.failures: list[Outcome] = []
        self.empty: list[str] = []
        self.links: list[str] = []
        self._folders: list[_Folder] = []
        self._listed: dict[str, dict[str, int]] = {}
        for source in sources:
            self._find(source, output_dir)
        self._check()
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
            is_checked = is_url(output_dir) and self._pattern.if_exists != "replace"
            for name in names:
                yield self._pattern._replace(
                    input=join(path, name),
                    named_after=join(output_dir, name) if self._moves else None,
                    is_checked=is_checked,
                )

    def check(self, job: Job, written: Written) -> Outcome | None:
        """Return the outcome of a job that needs no work; its output is there, or cannot be.

        Args:
            job: The job.
            written: The outputs that have been written for others.
        """
        try:
            return decryptor.check(job, size_of=self._size_of, written=written)
        except (FileDecryptorError, OSError) as error:
            return decryptor.failed(job, error)

    def _size_of(self, path: str) -> int | None:
        """Return the length of a file or an object; a folder of objects is asked about once."""
        if not is_url(path):
            return files.size_of(path)
        directory, name = split(path)
        if directory not in self._listed:
            from filedecryptor.objects import sizes_in

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

        def on_error(path: str, error: FileDecryptorError | OSError) -> None:
            error.filename = error.filename or path
            self.failures.append(decryptor.failed(Job(path, ""), error))

        found = storage.recordings_below(source, SUFFIX, on_error, self.links.append)
        for path, all_names, links in found:
            names = [name for name in all_names if not name.startswith(APPLE_DOUBLE)]
            if not names:
                continue
            below = path[len(root) :]
            target = path if output_dir is None else join(output_dir, below)
            if is_url(source) and not is_url(target):
                names = self._that_stay_below(path, below, names)
            self._folders.append(_Folder(path, target, names, links))
        if len(self._folders) == before:
            self.empty.append(source)

    def _that_stay_below(self, path: str, below: str, names: list[str]) -> list[str]:
        """Return the objects whose keys lead to no other directory; the others are failures."""
        staying = []
        for name in names:
            if all(map(_is_plain, (below + name).split("/"))):
                staying.append(name)
            else:
                error = FileDecryptorError(
                    "its name would choose another directory", filename=join(path, name)
                )
                self.failures.append(decryptor.failed(Job(join(path, name), ""), error))
        return staying

    def _check(self) -> None:
        """Refuse the whole plan rather than let an output take the place of anything in it.

        Paths are compared by name, in directories without links. An input that is a link stands
        for what it leads to as well; an output that is one would be replaced itself.
        """
        places = _Places()
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
        self, shared: set[int], places: _Places, key_of: Callable[[Place], Hashable]
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
            if key in inputs and not (inputs[key] == source and self._pattern.extension == AUTO):
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
                for target in self._pattern._replace(input=name).targets():
                    yield (folder.path, name), (folder.output_dir, target)


_EVERYTHING = Folding(case=True, form=True)


class _Disk(NamedTuple):
    """Where the outputs of a directory are to lie.

    Attributes:
        directory: What the nearest directory that is there is known by.
        missing: What is to be made below it.
        folding: What is overlooked in names there.
    """

    directory: Hashable
    missing: str
    folding: Folding


class _Places:
    """Tells which places are one. Each directory is asked about once."""

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
            self._roughly[directory] = (_EVERYTHING(real) if is_disk else real), is_disk
        real, is_disk = self._roughly[directory]
        return hash((real, _EVERYTHING(name) if is_disk else name))

    def by_name(self, place: Place) -> Place:
        """Return what is equal for the same name in the same directory."""
        directory, name = place
        return self._real_path(directory), name if is_url(directory) else os.path.normcase(name)

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
    """Return what a directory is known by, whatever it is called."""
    try:
        found = os.stat(directory)
    except OSError:
        return directory
    return (found.st_dev, found.st_ino) if found.st_ino else directory


def _is_plain(part: str) -> bool:
    """Return whether a part of a key is the name of a file here, and nothing but that."""
    is_name = part not in {"", ".", ".."} and os.path.split(part) == ("", part)
    return is_name and not os.path.splitdrive(part)[0] and "\0" not in part
