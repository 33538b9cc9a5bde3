"""Many jobs: find the recordings, and know every output before anything is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from filedecryptor import decryptor, files
from filedecryptor.decryptor import IF_EXISTS, IfExists, Job, Outcome
from filedecryptor.errors import FileDecryptorError, UsageError
from filedecryptor.names import is_url, join, split
from filedecryptor.storage import storage_of

SUFFIX = ".enc"
"""What a directory's recordings end with, in any case."""

APPLE_DOUBLE = "._"
"""What macOS begins the name of a file with that it leaves beside another on foreign disks."""

LISTINGS = 2
"""Folders of stores that are remembered: that of the last inputs, and that of their outputs."""


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

    def check(self, job: Job) -> Outcome | None:
        """Return the outcome of a job that needs no work; its output is there, or cannot be."""
        try:
            return decryptor.check(job, size_of=self._size_of)
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
        # Hashes take a fraction of the memory that paths would; a hit is looked into.
        inputs: set[int] = set()
        for folder in self._folders:
            directory = _real_path(folder.path)
            inputs.update(hash((directory, os.path.normcase(name))) for name in folder.names)
            for name in folder.links:
                path = _real_path(join(folder.path, name))
                inputs.add(hash(split(path)))
        outputs: set[int] = set()
        for folder in self._folders:
            directory = _real_path(folder.output_dir)
            for name in folder.names:
                for target in self._pattern._replace(input=name).targets():
                    place = hash((directory, os.path.normcase(target)))
                    if place in inputs or place in outputs:
                        self._refuse()
                    outputs.add(place)

    def _refuse(self) -> None:
        """Say what collides; two paths of the same hash do not."""
        seen: dict[str, str] = {}
        inputs = {_place(job.input): job.input for job in self}
        inputs |= {_real_path(job.input): job.input for job in self}
        for job in self:
            for place in map(_place, job.targets()):
                if place in inputs:
                    raise UsageError(
                        f"its output would replace the input {inputs[place]!r}",
                        filename=job.input,
                    )
                if place in seen:
                    raise UsageError(
                        f"it would have the same output as {seen[place]!r}",
                        hint="decrypt them one after the other, with other names or directories",
                        filename=job.input,
                    )
                seen[place] = job.input


def _is_plain(part: str) -> bool:
    """Return whether a part of a key is the name of a file here, and nothing but that."""
    is_name = part not in {"", ".", ".."} and os.path.split(part) == ("", part)
    return is_name and not os.path.splitdrive(part)[0] and "\0" not in part


def _place(path: str) -> str:
    directory, name = split(path)
    return join(_real_path(directory), os.path.normcase(name))


def _real_path(path: str) -> str:
    return storage_of(path).real_path(path)
