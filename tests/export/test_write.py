"""What stands in the folder of an export, whatever its format."""

import hashlib
from types import SimpleNamespace

import pytest

from segcore.checkpoint.manifest import ExportManifest, read_any_manifest
from segcore.errors import ExportError
from segcore.export.write import write_export


class Scattered:
    """A format of files in subfolders, with names that no checkpoint has."""

    names = ("graph.bin", "parts/weights 1.bin", "parts/größe.bin")

    def export(self, network, task, output):
        (output / "parts").mkdir()
        for name in self.names:
            (output / name).write_bytes(name.encode())
        return [output / self.names[0]]


def offering(task, monkeypatch, exporter):
    """Make the catalogue of `task` offer `exporter` as a format."""
    entry = SimpleNamespace(
        name="scattered",
        spec=SimpleNamespace(load_target=lambda: exporter),
        plugin=SimpleNamespace(distribution="segcore-scattered", version="1.2"),
    )
    monkeypatch.setattr(task.catalogue.exporters, "find", lambda name: entry)


def test_the_manifest_lists_every_file_of_any_format(network, task, tmp_path, monkeypatch):
    offering(task, monkeypatch, Scattered)
    written = write_export(network, task, tmp_path / "out", "scattered")
    manifest = read_any_manifest(tmp_path / "out")
    assert [path.name for path in written] == ["graph.bin", "MANIFEST.json"]
    assert isinstance(manifest, ExportManifest)
    assert (manifest.written_by, manifest.format) == ("segcore-scattered 1.2", "scattered")
    assert manifest.model == task.config.model.name
    assert {name: record.sha256 for name, record in manifest.files.items()} == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in Scattered.names
    }


class Presumptuous(Scattered):
    """Takes the name that is segcore's."""

    names = ("MANIFEST.json", "parts/weights 1.bin")


def test_an_exporter_that_takes_the_name_of_the_manifest_is_named(
    network, task, tmp_path, monkeypatch
):
    offering(task, monkeypatch, Presumptuous)
    with pytest.raises(ExportError, match=r"segcore-scattered 1\.2 .*MANIFEST\.json"):
        write_export(network, task, tmp_path / "out", "scattered")
    assert list(tmp_path.iterdir()) == []
