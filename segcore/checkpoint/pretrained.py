"""Weights that a training starts from: found by name, address or path, and brought to this machine.

`find_pretrained` only looks and is quick; `bring` downloads and unpacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from segcore.checkpoint.archive import is_archive, unpack
from segcore.checkpoint.cache import CachedFile, cache_folder, fetch_to_cache
from segcore.checkpoint.download import DownloadRules
from segcore.checkpoint.files import (
    DISK,
    digest_file,
    prepare_output,
    storage_errors,
    write_atomic,
)
from segcore.checkpoint.lock import waiting_lock
from segcore.checkpoint.manifest import digest_tree
from segcore.checkpoint.runfolder import RunFolder
from segcore.checkpoint.web import is_url, shown_url
from segcore.discovery.weights import find_known_weights, known_weights
from segcore.errors import OutputError, UnknownNameError, WeightsError
from segcore.filesystem import exists, is_file, is_folder, read_regular

if TYPE_CHECKING:
    from segcore.discovery.catalogue import Catalogue
    from segcore.discovery.registry import Entry
    from segcore.specs import ModelSpec

__all__ = ["BroughtWeights", "Pretrained", "bring", "find_pretrained"]

_SUFFIXES = (".pdparams", ".safetensors")
_MAX_NOTE_BYTES = 2**24  # archives hold up to 10,000 files
_DIGESTS = TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class Pretrained:
    """Weights that were asked for as `text`, and stand at `address`: a URL or an absolute path.

    `part` is `network` or `backbone` where the catalogue knows, and None where the file will tell;
    `sha256` is the digest that the file must have, if one is known.
    """

    text: str
    address: str
    part: str | None = None
    sha256: str | None = None

    @property
    def shown(self) -> str:
        """The address as it may be printed."""
        return shown_url(self.address) if is_url(self.address) else self.address


@dataclass(frozen=True)
class BroughtWeights:
    """A file of weights on this machine; `sha256` is that of the file at the address.

    `weights_sha256` is the digest that the file of weights must have, where that is known.
    """

    path: Path
    sha256: str
    weights_sha256: str | None = None


def find_pretrained(
    text: str, entry: Entry[ModelSpec], options: Mapping[str, Any], catalogue: Catalogue
) -> Pretrained:
    """Say where the weights `text` of a model with these options are; nothing is fetched.

    `text` is a name such as CITYSCAPES in any case, an https address, a file, or the folder of a
    run. Raises UnknownNameError that lists the names there are, and WeightsError for a path where
    there is nothing.
    """
    known = known_weights(entry, options, catalogue)
    named = find_known_weights(known, text)
    if named is not None:
        return Pretrained(text, named.url, named.part, named.sha256)
    if is_url(text):
        return Pretrained(text, text)
    path = Path(text)
    if is_folder(path):
        return Pretrained(text, str(_weights_in(path).absolute()))
    if exists(path):
        return Pretrained(text, str(path.absolute()))
    if "/" in text or path.suffix:
        raise WeightsError(f"{text}: there is no such file or folder")
    names = ", ".join(
        weights.trained_on + (" (backbone)" if weights.part == "backbone" else "")
        for weights in known
    )
    raise UnknownNameError(
        f"{entry.name} has no weights called {text!r}; there are {names or 'none by name'}. "
        "Or give the path of a .pdparams or .safetensors file, the folder of a run, or an https "
        "address"
    )


def _weights_in(folder: Path) -> Path:
    """Find the best weights of a run, or of its best_model."""
    for path in (RunFolder(folder).best_weights, folder / "model.pdparams"):
        if is_file(path):
            return path
    raise WeightsError(f"{folder}: holds no weights: neither best_model/ nor model.pdparams")


def bring(source: Pretrained, rules: DownloadRules | None = None) -> BroughtWeights:
    """Fetch the weights if they are elsewhere, unpack them if they are packed.

    Raises WeightsError, OfflineError, DownloadError, OutputError and StorageError.
    """
    if is_url(source.address):
        cached = fetch_to_cache(source.address, sha256=source.sha256, rules=rules)
    else:
        cached = _local(source)
    if is_archive(cached.path.name):
        path, digest = _weights_of_archive(cached)
        return BroughtWeights(path, cached.sha256, digest)
    is_known = is_url(source.address) or source.sha256 is not None
    return BroughtWeights(cached.path, cached.sha256, cached.sha256 if is_known else None)


def _local(source: Pretrained) -> CachedFile:
    path = Path(source.address)
    try:
        found = digest_file(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    if source.sha256 not in (None, found):
        raise WeightsError(
            f"{path}: its sha256 is {found}, and {source.sha256} is expected: it is another file "
            "than the one that the configuration noted (train.pretrained_origin). Set that to null "
            "to take this one"
        )
    return CachedFile(path, found)


def _weights_of_archive(archive: CachedFile) -> tuple[Path, str]:
    """Unpack an archive into the cache, once for each content; give the weights and their digest.

    What has changed since it was unpacked is unpacked again.
    """
    folder = cache_folder() / "unpacked"
    target = folder / archive.sha256[:32]
    digests = _unpacked(target)
    if digests is None:
        try:
            prepare_output(folder)
            with waiting_lock(folder / f"{target.name}.lock"):
                digests = _unpacked(target) or _unpack_anew(archive, target)
        except OutputError as error:
            raise OutputError(
                f"{archive.path}: cannot be unpacked into the cache: {error}"
            ) from error
    found = [
        name
        for name in sorted(digests)
        if Path(name).suffix in _SUFFIXES and not Path(name).name.startswith(".")
    ]
    preferred = [name for name in found if Path(name).name == "model.pdparams"] or found
    if len(preferred) != 1:
        listed = ", ".join(found[:5])
        raise WeightsError(
            f"{archive.path}: holds {len(found)} files of weights{': ' + listed if found else ''}; "
            "unpack it and give the one you mean"
        )
    return target / preferred[0], digests[preferred[0]]


def _unpacked(target: Path) -> dict[str, str] | None:
    """Give the digests of what was unpacked into `target`; None where it is not all there."""
    try:
        digests: dict[str, str] = _DIGESTS.validate_json(
            read_regular(_note_of(target), _MAX_NOTE_BYTES)
        )
        return digests if digests == _digests_in(target) else None
    except (OSError, ValidationError):
        return None


def _unpack_anew(archive: CachedFile, target: Path) -> dict[str, str]:
    with storage_errors(target):
        DISK.remove_tree(target)
    unpack(archive.path, target)
    digests = _digests_in(target)
    write_atomic(_note_of(target), json.dumps(digests).encode())
    return digests


def _digests_in(folder: Path) -> dict[str, str]:
    return {name: record.sha256 for name, record in digest_tree(folder).items()}


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")
