"""Files are read against the manifest beside them, while a training may replace them."""

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segcore.checkpoint.files import temporary_name
from segcore.checkpoint.integrity import read_settled, read_verified, verify_folder
from segcore.checkpoint.manifest import MANIFEST, ExportManifest, digest_tree
from segcore.checkpoint.store import BEST, CheckpointStore
from segcore.errors import IntegrityError, WeightsError
from segcore.inference.source import find_weights

CONTENT = {"graph.bin": b"graph" * 100, "parts/weights.bin": b"weights" * 100}


@pytest.fixture
def export(tmp_path):
    """A folder with a manifest, and a file beside it that the manifest does not know."""
    folder = tmp_path / "export"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    manifest = ExportManifest(
        written_by="segcore 0", format="bin", model="M", files=digest_tree(folder)
    )
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    (folder / "evaluate_result.json").write_bytes(b"{}")
    return folder


def flip(path, position=-3):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_what_is_as_it_was_written_is_given(export):
    verify_folder(export, ["graph.bin"])
    assert read_verified(export / "graph.bin") == CONTENT["graph.bin"]


@pytest.mark.parametrize("name", [*CONTENT, MANIFEST])
def test_a_flipped_bit_is_told_by_file(export, name):
    flip(export / name)
    with pytest.raises(IntegrityError, match=rf"{name}: damaged"):
        verify_folder(export)


@pytest.mark.parametrize("name", ["graph.bin", MANIFEST])
def test_the_bytes_that_are_used_are_the_ones_compared(export, name):
    flip(export / name)
    with pytest.raises(IntegrityError, match=rf"{name}: damaged"):
        read_verified(export / "graph.bin")


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize(
    ("spoil", "said"),
    [(lambda path: path.unlink(), "missing"), (lambda path: path.write_bytes(b""), "0 bytes")],
)
def test_missing_and_shortened_files_are_told(export, name, spoil, said):
    spoil(export / name)
    with pytest.raises(IntegrityError, match=rf"{name}: .*{said}"):
        verify_folder(export)


def test_a_file_that_was_put_in_is_not_used(export):
    with pytest.raises(IntegrityError, match=r"evaluate_result\.json: not listed"):
        verify_folder(export, ["evaluate_result.json"])
    with pytest.raises(IntegrityError, match=r"evaluate_result\.json: not listed"):
        read_verified(export / "evaluate_result.json")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "", "a//b"])
def test_a_manifest_leads_nowhere_else(export, name):
    manifest = ExportManifest.model_construct(
        written_by="x", format="x", model="x", files=digest_tree(export.parent)
    )
    text = manifest.model_copy(update={"files": {name: manifest.files["export/graph.bin"]}})
    (export / MANIFEST).write_bytes(text.to_bytes())
    with pytest.raises(IntegrityError, match="schema is not that of a manifest"):
        verify_folder(export)


def test_the_manifest_of_another_export_does_not_fit(export, tmp_path):
    other = shutil.copytree(export, tmp_path / "other")
    (other / "graph.bin").write_bytes(b"GRAPH" * 100)
    shutil.copy(export / MANIFEST, other / MANIFEST)
    with pytest.raises(IntegrityError, match=r"graph\.bin: damaged"):
        verify_folder(other)


def test_without_a_manifest_integrity_is_said_to_be_unknown_once(export, caplog):
    (export / MANIFEST).unlink()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            verify_folder(export)
            assert read_verified(export / "graph.bin") == CONTENT["graph.bin"]
    assert [r.getMessage() for r in caplog.records] == [
        f"{export}: integrity unknown, since there is no {MANIFEST}"
    ]


def test_copies_and_links_of_a_folder_are_as_good(export, tmp_path):
    moved = shutil.move(export, tmp_path / "moved")
    (tmp_path / "link").symlink_to(moved)
    moved.chmod(0o500)
    verify_folder(tmp_path / "link", ["graph.bin"])
    moved.chmod(0o700)


def test_a_file_that_cannot_be_read_is_told_as_its_reader_does(export):
    def fail(path):
        raise WeightsError(f"{path}: no regular file")

    with pytest.raises(WeightsError, match="no regular file"):
        read_verified(export / "graph.bin", fail)


def test_what_is_replaced_while_it_is_read_is_read_again(tmp_path):
    store = CheckpointStore(tmp_path, "0" * 16)
    best = store.promote(1, {"w": b"old", "x": b"old"})
    seen = []

    def read(folder):
        first = (folder / "w").read_bytes()
        if not seen:
            store.promote(2, {"w": b"new", "x": b"new"})
        seen.append((first, (folder / "x").read_bytes()))
        if len(set(seen[-1])) > 1:
            raise OSError("two generations")
        return seen[-1]

    assert read_settled(best, read) == (b"new", b"new")
    assert seen[0] == (b"old", b"new")


@pytest.mark.parametrize("name", [temporary_name(BEST, "old"), f"{BEST}.old"])
def test_a_best_model_that_a_kill_left_aside_is_read_there(tmp_path, name):
    store = CheckpointStore(tmp_path, "0" * 16)
    best = store.promote(1, {"w": b"old"})
    best.rename(tmp_path / name)
    assert read_verified(best / "w") == b"old"
    assert read_verified(tmp_path / name / "w") == b"old"
    verify_folder(best)


def test_what_stood_aside_is_read_in_its_place_once_it_is_back(tmp_path):
    store = CheckpointStore(tmp_path, "0" * 16)
    best = store.promote(1, {"w": b"new"})
    assert read_verified(best.with_name(temporary_name(BEST, "old")) / "w") == b"new"


def test_a_copy_that_somebody_keeps_is_not_taken_for_the_best_model(tmp_path):
    store = CheckpointStore(tmp_path, "0" * 16)
    shutil.copytree(store.promote(1, {"w": b"old"}), tmp_path / f"{BEST}.old")
    store.promote(2, {"w": b"new"})
    assert read_verified(tmp_path / f"{BEST}.old" / "w") == b"old"


def test_a_file_in_the_current_folder_is_read(export, monkeypatch):
    monkeypatch.chdir(export)
    assert read_verified(Path("graph.bin")) == CONTENT["graph.bin"]
    verify_folder(Path())


def test_readers_never_meet_a_promotion(tmp_path):
    """Neither damage nor absence is seen while the best model is replaced again and again."""
    store = CheckpointStore(tmp_path, "0" * 16)
    store.save(0, {"x": b"0"})
    best = store.promote(0, {"model.pdparams": b"0" * 4000, "x": b"0"})
    reads = 0
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(promote_often, store, 60)
        while not training.done():
            found = find_weights(tmp_path)
            assert found is not None
            assert len(read_verified(found)) == 4000
            verify_folder(found.parent, ["model.pdparams"])
            reads += 1
        training.result()
    assert reads >= 10
    assert read_verified(best / "x") == b"60"


def promote_often(store, count):
    for step in range(1, count + 1):
        store.promote(step, {"model.pdparams": str(step).encode()[:1] * 4000, "x": b"%d" % step})
