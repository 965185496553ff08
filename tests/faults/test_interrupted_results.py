"""Exports and predictions that are killed: what stands under a final name is whole."""

import io
import json
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from segcore.checkpoint import files
from segcore.checkpoint.manifest import MANIFEST, check_digests, read_any_manifest
from segcore.export.write import write_export
from segcore.inference.result import SegmentationResult
from segcore.testing.faults import OPERATIONS, KillAt, run_forked

PARTS = ("inference.json", "inference.pdiparams", "inference.yml")


class Parts:
    """Write the three files of an export, of the bytes that the network is made of here."""

    def export(self, network, _task, folder):
        for name in PARTS:
            files.DISK.write_file(folder / name, network.content)
        return [folder / name for name in PARTS]


def export(content, folder):
    exporter = SimpleNamespace(
        name="parts",
        spec=SimpleNamespace(load_target=lambda: Parts),
        plugin=SimpleNamespace(distribution="segcore-parts", version="1.0"),
    )
    catalogue = SimpleNamespace(exporters=SimpleNamespace(find=lambda _name: exporter))
    config = SimpleNamespace(model=SimpleNamespace(name="Bytes"))
    task = SimpleNamespace(
        catalogue=catalogue, config=config, inference_network=lambda network: network
    )
    network = SimpleNamespace(content=content, sublayers=lambda include_self: [], eval=lambda: None)
    write_export(network, task, folder)


def content_of(folder):
    """Give the bytes that the parts in `folder` are made of, all the same and as they were."""
    check_digests(folder, read_any_manifest(folder))
    assert {path.name for path in folder.iterdir()} == {*PARTS, MANIFEST}
    (content,) = {(folder / name).read_bytes() for name in PARTS}
    return content


def interrupted(action, n, when):
    """Do `action` in a child that is killed at the n-th change of the disk; say whether it was."""

    def in_child():
        killer = KillAt(n, when)
        for name in OPERATIONS:
            setattr(files.DISK, name, getattr(killer, name))
        action()

    return run_forked(in_child) == -signal.SIGKILL


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_export_leaves_the_old_one_the_new_one_or_none(tmp_path, when):
    kills = 0
    for n in range(1, 100):
        folder = tmp_path / str(n) / "export"
        export(b"old", folder)
        if not interrupted(lambda folder=folder: export(b"new", folder), n, when):
            break
        kills += 1
        if folder.exists():
            assert content_of(folder) in (b"old", b"new")
        export(b"newest", folder)
        assert content_of(folder) == b"newest"
    assert kills > len(PARTS) * 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_prediction_leaves_no_half_of_a_file(tmp_path, when):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    result = SegmentationResult("eye", "eye.png", pixels, pixels[..., 0] // 100, ("a", "b", "c"))

    def save(folder):
        result.save_to_img(folder)
        result.save_to_json(folder)

    save(tmp_path / "whole")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    kills = 0
    for n in range(1, 100):
        folder = tmp_path / str(n)
        if not interrupted(lambda folder=folder: save(folder), n, when):
            break
        kills += 1
        found = {p.name: p.read_bytes() for p in folder.glob("*") if not files.is_leftover(p.name)}
        assert found.items() <= whole.items()
    assert kills > len(whole) * 3
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert json.loads(whole["eye.json"]) == result.json
    assert np.array_equal(Image.open(io.BytesIO(whole["eye.png"])), result.label_map)
