"""Export a network into a folder that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from segcore.checkpoint.files import DISK, make_folders, storage_errors, temporary_name
from segcore.checkpoint.manifest import MANIFEST, ExportManifest, digest_tree, find_stranger
from segcore.checkpoint.ownership import Guard
from segcore.errors import ExportError
from segcore.filesystem import require_utf8

if TYPE_CHECKING:
    import paddle

    from segcore.discovery.catalogue import Entry
    from segcore.protocols import Exporter
    from segcore.specs import ExporterSpec
    from segcore.tasks.task import Task

__all__ = ["evaluating", "write_export"]


def write_export(
    network: paddle.nn.Layer,
    task: Task,
    output: Path,
    format_name: str = "paddle",
    *,
    guard: Guard | None = None,
) -> list[Path]:
    """Export `network`, as training holds it, into the folder `output`; give the files there.

    An earlier export in `output` stays until the new one is complete and compared; `guard` refuses
    to replace anything else. A MANIFEST.json beside the files has the digest of each. `network`
    keeps its weights and its mode. Raises UnknownNameError for an unknown format, OutputError,
    ExportError when the network cannot be exported, and StorageError.
    """
    guard = guard or Guard()
    require_utf8(output.absolute(), "PaddlePaddle")
    guard.check_folder(output, find_stranger)
    entry = task.catalogue.exporters.find(format_name)
    exporter: Exporter = entry.spec.load_target()()
    unfinished = output.with_name(temporary_name("export"))
    make_folders(output.parent)
    with storage_errors(output):
        DISK.mkdir(unfinished)
    try:
        inference_network = task.inference_network(network)
        with evaluating(inference_network), storage_errors(output):
            written = exporter.export(inference_network, task, unfinished)
            _write_manifest(unfinished, entry, task.config.model.name)
        guard.replace_folder(unfinished, output, find_stranger)
    finally:
        DISK.remove_tree(unfinished)
    return [output / path.name for path in (*written, Path(MANIFEST))]


def _write_manifest(folder: Path, entry: Entry[ExporterSpec], model: str) -> None:
    """Note what an exporter wrote, so that readers notice when it changes."""
    plugin = entry.plugin
    try:
        manifest = ExportManifest(
            written_by=f"{plugin.distribution} {plugin.version}",
            format=entry.name,
            model=model,
            files=digest_tree(folder),
        )
    except ValidationError as error:
        raise ExportError(
            f"the exporter {entry.name} of {plugin.distribution} {plugin.version} wrote a file "
            f"under a name that cannot be used: {error.errors()[0]['msg']}"
        ) from error
    DISK.write_file(folder / MANIFEST, manifest.to_bytes())


@contextmanager
def evaluating(network: paddle.nn.Layer) -> Iterator[None]:
    """Put `network` into eval mode, and afterwards every layer back into the mode that it had."""
    training = [layer for layer in network.sublayers(include_self=True) if layer.training]
    network.eval()
    try:
        yield
    finally:
        for layer in training:
            layer.training = True
