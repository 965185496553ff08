"""The checkpoint store: what is saved, kept, found, refused and recovered."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from segcore.checkpoint.manifest import MANIFEST, ExportManifest, digest_tree, read_manifest
from segcore.checkpoint.store import (
    CheckpointStore,
    new_run_id,
    open_best,
    read_run_id,
    write_run_id,
)
from segcore.errors import CheckpointError, StorageError
from segcore.testing.faults import Recorder

PARTS = {"model.pdparams": bytes(range(256)) * 8, "state.json": b'{"step": 1}'}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def backup_of(folder):
    return folder.with_name(f"{folder.name}.bak")


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path, "a run")


def parts_of(step):
    return {**PARTS, "model.pdparams": bytes([step]) * 500}


def test_a_checkpoint_comes_back_bit_for_bit(store):
    path = store.save(7, PARTS, {"miou": 0.1 + 0.2})
    found = store.load()
    assert (found.path, found.step, found.parts, found.rejected) == (path, 7, PARTS, ())
    assert found.manifest.info == {"miou": 0.1 + 0.2}


def test_parts_may_come_in_pieces(store):
    store.save(1, {"model.pdparams": (bytes([n]) for n in range(5))})
    assert store.load().parts == {"model.pdparams": bytes(range(5))}


def test_only_the_newest_stay(store):
    for step in range(1, 6):
        store.save(step, PARTS)
    assert store.steps() == [4, 5]
    assert names_in(store.run_dir / "checkpoints") == ["step-4", "step-5"]


def test_order_is_by_step_and_not_by_time_or_text(tmp_path):
    store = CheckpointStore(tmp_path, "a run", keep=9)
    for age, step in enumerate((9, 10, 100)):
        folder = store.save(step, PARTS)
        for path in (folder, *folder.iterdir()):
            os.utime(path, (10**9 - age * 10**6,) * 2)  # the clock went backwards
    assert store.steps() == [9, 10, 100]
    assert (store.newest(), store.load().step) == (100, 100)


def test_saving_a_step_again_replaces_it(store):
    store.save(3, PARTS)
    store.save(3, parts_of(9))
    assert store.load().parts == parts_of(9)
    assert names_in(store.run_dir / "checkpoints") == ["step-3"]


def test_what_a_user_put_into_a_step_outlives_its_replacement(store):
    (store.save(3, PARTS) / "notes.txt").write_text("mine")
    store.save(3, parts_of(9))
    folder = store.run_dir / "checkpoints"
    assert (folder / "step-3.bak" / "notes.txt").read_text() == "mine"
    assert (store.steps(), store.load().parts) == ([3], parts_of(9))
    assert names_in(folder) == ["step-3", "step-3.bak"]


def test_a_checkpoint_names_the_one_it_grew_from(store):
    first = read_manifest(store.save(1, PARTS))
    second = read_manifest(store.save(2, PARTS))
    assert first.parents == ()
    assert second.parents == (first.digest,)
    resumed = CheckpointStore(store.run_dir, "a run")
    resumed.load()
    assert read_manifest(resumed.save(3, PARTS)).parents == (second.digest,)


def test_no_checkpoint_is_an_error_that_says_so(store):
    assert store.newest() is None
    with pytest.raises(CheckpointError, match="holds no usable checkpoint"):
        store.load()


def flip_bit(path, position):
    data = bytearray(path.read_bytes())
    data[position // 8] ^= 1 << position % 8
    path.write_bytes(data)


def count_accepted_flips(store, flips, names):
    """Flip one bit at a time in the newest checkpoint and count how often it is still taken."""
    rng = np.random.default_rng(0)
    accepted = 0
    for n in range(flips):
        path = store.run_dir / "checkpoints" / "step-2" / names[n % len(names)]
        position = int(rng.integers(path.stat().st_size * 8))
        flip_bit(path, position)
        found = store.load()
        accepted += (
            found.step != 1 or len(found.rejected) != 1 or path.name not in found.rejected[0]
        )
        flip_bit(path, position)
    return accepted


@pytest.mark.parametrize(
    "flips", [51, pytest.param(2001, marks=pytest.mark.slow)], ids=["50", "2000"]
)
def test_a_flipped_bit_is_noticed_and_the_older_checkpoint_taken(store, flips):
    store.save(1, PARTS)
    store.save(2, PARTS)
    assert count_accepted_flips(store, flips, [MANIFEST, *PARTS]) == 0
    assert store.load().step == 2


def test_a_flipped_bit_anywhere_in_the_manifest_is_noticed(store):
    path = store.save(2, {"state.json": b"{}"}, {"note": "ab"}) / MANIFEST
    accepted = []
    for position in range(path.stat().st_size * 8):
        flip_bit(path, position)
        if store.steps():
            accepted.append(position)
        flip_bit(path, position)
    assert accepted == []


def truncate(folder):
    os.truncate(folder / "model.pdparams", 100)


def remove(folder):
    (folder / "state.json").unlink()


def add(folder):
    (folder / "more.pdparams").write_bytes(b"")


def empty(folder):
    (folder / MANIFEST).write_bytes(b"")


def lose_manifest(folder):
    (folder / MANIFEST).unlink()


def take_foreign(folder):
    shutil.rmtree(folder)
    other = CheckpointStore(folder.parents[1] / "other", "another run")
    other.run_dir.mkdir()
    shutil.copytree(other.save(2, PARTS), folder)


def rename(folder):
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("step-1"), folder)


def climb(folder):
    """List a file outside, in a manifest whose own digest is right."""
    content = json.loads((folder / MANIFEST).read_text())
    content["files"]["../../secret"] = content["files"]["state.json"]
    (folder / MANIFEST).write_text(json.dumps(content))


DAMAGES = [truncate, remove, add, empty, lose_manifest, take_foreign, rename, climb]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_reported_kept_and_passed_over(store, damage):
    store.save(1, PARTS)
    folder = store.save(2, PARTS)
    damage(folder)
    found = store.load()
    assert (found.step, found.parts, len(found.rejected)) == (1, PARTS, 1)
    assert "step-2" in found.rejected[0]
    assert folder.exists()


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d is not rename])
def test_when_only_a_damaged_one_is_left_the_error_names_it(store, damage):
    damage(store.save(2, PARTS))
    with pytest.raises(CheckpointError, match=r"no usable checkpoint(?s:.)*step-2") as caught:
        store.load()
    assert caught.value.exit_code == 2


def test_a_damaged_newer_checkpoint_does_not_push_out_a_sound_one(tmp_path):
    store = CheckpointStore(tmp_path, "a run", keep=1)
    store.save(10, PARTS)
    flip_bit(store.save(30, PARTS) / "model.pdparams", 5)
    store.save(20, PARTS)
    assert store.load().step == 20


def test_some_parts_can_be_read_alone(store):
    store.save(1, PARTS)
    assert store.load(names=["state.json"]).parts == {"state.json": PARTS["state.json"]}
    with pytest.raises(CheckpointError, match=r"holds no x\.pdema; it has model\.pdparams, state"):
        store.load(names=["x.pdema"])


def test_part_names_cannot_leave_the_folder(store):
    for name in ("../x", "/x", "a/b", ".hidden", MANIFEST, ""):
        with pytest.raises(ValueError, match=r"name|flat"):
            store.save(1, {name: b""})
    assert names_in(store.run_dir / "checkpoints") == []


def test_a_part_that_cannot_be_made_leaves_nothing_behind(store):
    def encode():
        yield b"half"
        raise MemoryError

    with pytest.raises(MemoryError):
        store.save(1, {"model.pdparams": encode()})
    assert names_in(store.run_dir / "checkpoints") == []


def test_the_best_model_is_replaced_whole(store):
    store.promote(1, {**PARTS, "model.pdema": b"old"}, info={"miou": 0.5})
    store.promote(2, parts_of(2), info={"miou": 0.6})
    best = open_best(store.run_dir)
    assert (best.step, best.parts, best.manifest.info) == (2, parts_of(2), {"miou": 0.6})
    assert names_in(store.run_dir) == ["best_model"]


def test_an_export_added_later_does_not_spoil_the_best_model(store):
    best = store.promote(1, PARTS)
    (best / "inference").mkdir()
    assert open_best(store.run_dir).parts == PARTS


def export_into(folder):
    """Write what an export of segcore is, as far as its manifest goes."""
    folder.mkdir()
    (folder / "inference.yml").write_text("a: 1")
    manifest = ExportManifest(written_by="x", format="paddle", model="x", files=digest_tree(folder))
    (folder / "MANIFEST.json").write_bytes(manifest.to_bytes())


def test_a_user_s_copies_of_what_segcore_wrote_stay(store):
    step, best = store.save(1, PARTS), store.promote(1, PARTS)
    (step / "evaluate_result.json").write_text('{"written_by": "segcore eval"}')
    for folder in (step, best):
        export_into(folder / "kept")
        shutil.copytree(best, folder / "first", ignore=shutil.ignore_patterns("kept"))
        (folder / "evaluated before.json").write_text('{"written_by": "segcore eval"}')
    export_into(step / "inference")
    before = {name: digest_tree(step / name) for name in ("first", "kept", "inference")}
    store.save(1, PARTS)
    store.promote(2, PARTS)
    kept = ["evaluated before.json", "first", "inference", "kept"]
    assert names_in(backup_of(step)) == kept
    assert {name: digest_tree(backup_of(step) / name) for name in before} == before
    assert names_in(backup_of(best)) == [name for name in kept if name != "inference"]


@pytest.mark.parametrize("change", [Path.touch, Path.mkdir, Path.unlink, None])
def test_an_export_of_which_something_is_the_user_s_stays(store, change):
    best = store.promote(1, PARTS)
    export_into(best / "inference")
    if change is Path.unlink:
        (best / "inference/MANIFEST.json").unlink()
    elif change is None:
        (best / "inference/inference.yml").write_text("a: 2")
    else:
        change(best / "inference/notes")
    store.clear_export()
    is_own = change is Path.mkdir  # an empty folder holds nothing that could be lost
    assert (best / "inference").exists() == is_own
    assert (store.run_dir / "best_model.bak/inference").exists() != is_own


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{}")])
def test_a_damaged_manifest_makes_nothing_a_training_s(store, damage):
    step, best = store.save(1, PARTS), store.promote(1, PARTS)
    for folder in (step, best):
        (folder / "notes.txt").write_text("mine")
        damage(folder / "MANIFEST.json")
    store.save(1, PARTS)
    store.promote(1, PARTS)
    assert names_in(backup_of(step)) == names_in(backup_of(best)) == ["notes.txt"]


def test_what_a_user_put_beside_the_best_model_stays(store):
    for number in range(2):
        best = store.promote(number, PARTS)
        (best / "notes.txt").write_text(f"mine {number}")
        (best / "evaluate_result.json").write_text('{"written_by": "segcore eval"}')
        export_into(best / "inference")
    store.promote(2, PARTS)
    assert names_in(best) == ["MANIFEST.json", *sorted(PARTS)]
    for number, name in enumerate(("best_model.bak", "best_model.bak.1")):
        assert names_in(store.run_dir / name) == ["notes.txt"]
        assert (store.run_dir / name / "notes.txt").read_text() == f"mine {number}"


def test_no_best_model_and_a_damaged_one_are_told_apart(store):
    with pytest.raises(CheckpointError, match="there is no best model"):
        open_best(store.run_dir)
    flip_bit(store.promote(1, PARTS) / "state.json", 3)
    with pytest.raises(CheckpointError, match=r"state\.json: damaged"):
        open_best(store.run_dir)


@pytest.mark.parametrize("name", ["best_model.new", "best_model.old"])
def test_recovery_finishes_the_move_of_a_best_model(store, name):
    best = store.promote(1, PARTS)
    best.rename(store.run_dir / name)
    assert open_best(store.run_dir).parts == PARTS  # even before the recovery
    assert store.recover() == [store.run_dir / name]
    assert names_in(store.run_dir) == ["best_model"]
    assert open_best(store.run_dir).parts == PARTS


def test_recovery_prefers_a_complete_old_to_an_incomplete_new_best_model(store):
    store.promote(1, PARTS).rename(store.run_dir / "best_model.old")
    (store.run_dir / "best_model.new").mkdir()
    (store.run_dir / "best_model.new" / "model.pdparams").write_bytes(b"half")
    store.recover()
    assert open_best(store.run_dir).parts == PARTS


def test_recovery_touches_nothing_of_the_users(store):
    for name in (".tmp-notes", "notes.old", ".trash", ".tmp-x-1-zzzzzzzz", "step-1.old"):
        (store.run_dir / name).write_text("mine")
    before = names_in(store.run_dir)
    assert store.recover() == []
    assert names_in(store.run_dir) == before


def test_a_store_without_run_id_reads_any_run_and_writes_none(store):
    store.save(1, PARTS)
    reader = CheckpointStore(store.run_dir)
    assert reader.load().parts == PARTS
    with pytest.raises(ValueError, match="for reading only"):
        reader.save(2, PARTS)


def test_saving_into_a_folder_that_is_gone_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        CheckpointStore(tmp_path / "gone", "a run").save(1, PARTS)


def test_a_run_id_is_kept_and_no_two_are_the_same(tmp_path):
    assert read_run_id(tmp_path) is None
    write_run_id(tmp_path, new_run_id())
    assert read_run_id(tmp_path) not in (None, new_run_id())


def test_a_damaged_run_id_is_none_and_something_else_of_its_name_is_refused(tmp_path):
    (tmp_path / "run.id").write_bytes(b"\xff\x00")
    assert read_run_id(tmp_path) is None
    (tmp_path / "run.id").unlink()
    (tmp_path / "run.id").mkdir()
    with pytest.raises(CheckpointError, match=r"run\.id: is no regular file"):
        read_run_id(tmp_path)


def test_the_first_save_flushes_a_folder_that_a_killed_process_made(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    recorder = Recorder(tmp_path)
    CheckpointStore(tmp_path, "a run", files=recorder).save(1, PARTS)
    assert (recorder.record[0].name, recorder.record[0].paths) == ("sync", (".",))
