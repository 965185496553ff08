"""Where the results of a call go, and whether anything would be lost by writing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from segcore.checkpoint.ownership import Guard, Recogniser, file_key
from segcore.data.paths import printable
from segcore.errors import OutputError
from segcore.inference.inputs import ImageInput

__all__ = ["check_outputs"]


def check_outputs(
    images: Iterable[ImageInput],
    folder: Path,
    ends: Mapping[str, Recogniser],
    besides: Mapping[str, Recogniser],
    guard: Guard,
) -> None:
    """Raise OutputError unless `folder` can take the results of `images` without a loss.

    Each image gets the files of its name with one of `ends`, and those in `besides` tell of all.
    No two may have one path, also where case or the composition of accents does not count, and
    `guard` must let each be written.
    """
    names = [(image.name, image.source) for image in images]
    _check_apart(names, ends, besides)
    for name, _ in names:
        for end, is_ours in ends.items():
            guard.check_file(folder / f"{name}{end}", is_ours)
    for name, is_ours in besides.items():
        guard.check_file(folder / name, is_ours)


def _check_apart(
    names: Iterable[tuple[str, str]], ends: Iterable[str], besides: Iterable[str]
) -> None:
    files = {file_key(name): f"all images together ({name})" for name in besides}
    folders: dict[str, str] = {}
    for name, source in names:
        for end in ends:
            key = file_key(f"{name}{end}")
            if key in files:
                raise OutputError(
                    f"{printable(files[key])} and {printable(source)} would both write "
                    f"{printable(name)}{end}: rename one, or predict them into different folders"
                )
            files[key] = source
        for above in Path(name).parents:
            folders.setdefault(file_key(str(above)), source)
    for key in folders.keys() & files.keys():
        raise OutputError(
            f"{printable(folders[key])} needs the folder {printable(key)} for its results, and "
            f"{printable(files[key])} a file of that name: predict them into different folders"
        )
