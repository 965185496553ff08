"""Damaged files of runs and exports: no reader takes them, whatever the damage and the reader."""

import shutil
from pathlib import Path

import pytest

from segcore.checkpoint.manifest import MANIFEST
from segcore.protocols import ModelSource
from tests.campaigns import flips
from tests.campaigns.flips import CHECKPOINT, EXPORT


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with flips.prepared(tmp_path_factory.mktemp("flips")) as ground:
        yield ground


def test_no_flipped_bit_gets_past_a_reader(ground):
    names = flips.files_of(ground)
    assert len(names) == 15
    assert flips.flips(ground, count=3 * len(names), seed=1) == ([], 3 * len(names))


def test_readers_without_digests_would_take_most(ground):
    with flips.without_digests():
        accepted, count = flips.flips(ground, count=len(flips.files_of(ground)), seed=1)
    assert len(accepted) > count / 2


def halve(path, _ground):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path, _ground):
    path.write_bytes(b"")


def remove(path, _ground):
    path.unlink()


DAMAGED = ("best_model/model.pdparams", f"{EXPORT}/inference.pdiparams", f"{CHECKPOINT}/state.json")


@pytest.mark.parametrize("spoil", [halve, empty, remove])
@pytest.mark.parametrize("name", DAMAGED)
def test_shortened_and_missing_files_are_refused(ground, name, spoil):
    run = ground.fresh_run()
    spoil(run / name, ground)
    reader = next(iter(flips.readers_of(name).values()))
    answer = reader(ground, run)
    assert answer.refused(Path(name).name), answer


@pytest.mark.parametrize("folder", ["best_model", EXPORT, CHECKPOINT])
def test_the_manifest_of_another_folder_is_refused(ground, folder):
    run = ground.fresh_run()
    other = EXPORT if folder == "best_model" else "best_model"
    shutil.copy(run / other / MANIFEST, run / folder / MANIFEST)
    reader = next(iter(flips.READERS[folder].values()))
    answer = reader(ground, run)
    assert answer.code == 2, answer
    assert not answer.wrote
    assert str(Path(folder).name) in answer.said


def test_a_changed_configuration_is_followed_once_its_digest_is_removed(ground):
    run = ground.fresh_run()
    text = (run / "config.yaml").read_text()
    assert "  sliding: null" in text
    windows = "  sliding: {crop: [32, 32], stride: [16, 16]}"
    (run / "config.yaml").write_text(text.replace("  sliding: null", windows))
    for reader in flips.READERS["."].values():
        answer = reader(ground, run)
        assert answer.refused("config.yaml"), answer
        assert "eval.sliding.crop: was not there, is [32, 32]" in answer.said
        assert "Remove that line" in answer.said
    edited = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(edited.partition("\n")[2])
    for reader in flips.READERS["."].values():
        answer = reader(ground, run)
        assert (answer.code, answer.wrote) == (0, True), answer


def test_a_run_without_digests_is_read_and_said_to_be_unknown(ground, tmp_path):
    run = shutil.copytree(ground.folder / "run", tmp_path / "old")
    (run / EXPORT / MANIFEST).unlink()
    (run / "best_model" / MANIFEST).unlink()
    answer = flips.predict(ground, run, "eager")
    assert answer.code == 0, answer
    for folder in ("best_model", EXPORT):
        assert answer.said.count(f"{run / folder}: integrity unknown") == 1


def test_moved_linked_and_read_only_runs_are_sound(ground, tmp_path):
    run = shutil.copytree(ground.folder / "run", tmp_path / "moved")
    (tmp_path / "link").symlink_to(run)
    for path in (run / EXPORT, run / "best_model", run):
        path.chmod(0o500)
    try:
        for place in (run, tmp_path / "link", run / "best_model", run / EXPORT):
            for runtime in ("eager", "paddle"):
                answer = flips.predict(ground, place, runtime)
                assert (answer.code, "unknown" in answer.said) == (0, False), answer
    finally:
        for path in (run, run / "best_model", run / EXPORT):
            path.chmod(0o700)


def test_a_damaged_export_stops_neither_the_network_nor_a_new_export(ground):
    run = ground.fresh_run()
    halve(run / EXPORT / "inference.pdiparams", ground)
    assert flips.predict(ground, run, "eager").code == 0
    answer = flips.export(ground, run)
    assert (answer.code, answer.wrote) == (0, True), answer
    halve(run / EXPORT / "inference.yml", ground)
    answer = flips.export(ground, run)
    assert (answer.code, answer.wrote) == (0, True), answer
    assert "inference.yml" in answer.said


class Stranger:
    """A runtime of somebody else, which looks at no manifest."""

    def refusal(self, source):
        return None if source.export_dir is not None else "it runs exported graphs"

    def load(self, source, device, index):
        raise AssertionError(f"{source} was given to the runtime")


def test_the_runtime_of_a_stranger_gets_no_damaged_file(ground):
    from segcore.devices.select import select_device
    from segcore.discovery.catalogue import get_catalogue
    from segcore.errors import IntegrityError
    from segcore.inference import create
    from segcore.inference.source import find_model

    run = ground.fresh_run()
    catalogue = get_catalogue()
    choice = select_device("cpu", catalogue)
    found = find_model(run)
    source: ModelSource = found.source
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(create, "choose_runtime", lambda *_, **__: ("stranger", Stranger()))
        with pytest.raises(AssertionError, match="was given") as given:
            create.open_session("stranger", source, found.config, choice, catalogue)
        assert "model.pdparams" not in str(given.value)  # it asked for a graph only
        halve(run / EXPORT / "inference.pdiparams", ground)
        with pytest.raises(IntegrityError, match=r"inference\.pdiparams"):
            create.open_session("stranger", source, found.config, choice, catalogue)
