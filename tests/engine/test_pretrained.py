"""Trainings that begin from weights by name, address, file or run; the server is our own."""

import re
import shutil

import numpy as np
import pytest

from segcore.checkpoint import pdparams
from segcore.checkpoint.pretrained import Pretrained, bring
from segcore.checkpoint.weights import read_weights, write_weights
from segcore.config.load import read_yaml
from segcore.config.render import render_config
from segcore.config.resolve import resolve_config
from segcore.config.seal import seal
from segcore.engine.train import train
from segcore.errors import (
    CheckpointError,
    ConfigError,
    OfflineError,
    UnknownNameError,
    WeightsError,
)
from tests.webserver import packed

STILL = ("train.iters=1", "train.learning_rate=1e-30", "train.optimizer.weight_decay=0")


@pytest.fixture
def toys(secure, toys):
    """The toy plugin, whose weights stand on the server."""
    return toys


def random_weights(toys, model, classes=4):
    network = toys.build_model(toys.models.find(model), classes)
    random = np.random.default_rng(7)
    return {
        name: random.random(tensor.shape).astype(np.float32)
        for name, tensor in network.state_dict().items()
    }


@pytest.fixture
def classes(shapes):
    names = (shapes / "labels.txt").read_text().splitlines()
    return [name.partition(" #")[0] for name in names]


@pytest.fixture
def published(secure, toys, webserver, classes):
    """Weights of Toy, as the server has them."""
    arrays = random_weights(toys, "Toy", len(classes))
    secure.pages["/toy.pdparams"] = webserver.page(pdparams.encode(arrays))
    return arrays


def trained(run):
    return read_weights(run / "best_model" / "model.pdparams")


def test_weights_by_name_are_where_training_begins(published, secure, configure, tmp_path):
    train(configure("train.pretrained=toy-town", *STILL), tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(
        trained(tmp_path / "run")["conv.weight"], published["conv.weight"]
    )
    said = (tmp_path / "run" / "train.log").read_text()
    assert f"toy-town ({secure.address}/toy.pdparams): 8 of the 8 arrays of Toy loaded" in said


def test_the_saved_configuration_says_which_file_it_was(published, secure, configure, tmp_path):
    train(configure("train.pretrained=TOY_TOWN", *STILL), tmp_path / "run", device="cpu")
    saved = read_yaml(tmp_path / "run" / "config.yaml")["train"]
    origin = saved["pretrained_origin"]
    assert (saved["pretrained"], origin["name"]) == ("TOY_TOWN", "TOY_TOWN")
    assert origin["address"] == f"{secure.address}/toy.pdparams"
    assert len(origin["sha256"]) == 64


def test_the_saved_configuration_takes_that_very_file_again(
    published, secure, webserver, configure, toys, tmp_path
):
    train(configure("train.pretrained=TOY_TOWN", *STILL), tmp_path / "run", device="cpu")
    again = resolve_config(None, tmp_path / "run" / "config.yaml", (), {}, toys).config
    train(again, tmp_path / "second", device="cpu")
    assert trained(tmp_path / "second").keys() == trained(tmp_path / "run").keys()
    shutil.rmtree(tmp_path / "cache")
    secure.pages["/toy.pdparams"] = webserver.page(pdparams.encode(random_weights(toys, "Toy", 2)))
    with pytest.raises(WeightsError, match="is expected"):
        train(again, tmp_path / "third", device="cpu")


def test_a_training_goes_on_without_the_file_it_began_from(
    published, secure, configure, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    train(configure("train.pretrained=TOY_TOWN", "train.iters=2"), run, device="cpu")
    noted = read_yaml(run / "config.yaml")["train"]["pretrained_origin"]
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setenv("SEGCORE_OFFLINE", "1")
    longer = configure("train.pretrained=TOY_TOWN", "train.iters=4")
    with pytest.raises(CheckpointError, match=r"train\.iters: was 2, is 4\nUndo"):
        train(longer, run, device="cpu", resume=True)
    result = train(longer, run, device="cpu", resume=True, accept_changes=True)
    assert result["steps"] == 4
    assert len(secure.requests) == 1
    assert read_yaml(run / "config.yaml")["train"]["pretrained_origin"] == noted


def test_an_unknown_name_is_answered_with_those_there_are(configure, secure, tmp_path):
    said = r"Toy has no weights called 'COCO'; there are TOY_TOWN\. Or give the path .* https"
    with pytest.raises(UnknownNameError, match=said):
        train(configure("train.pretrained=COCO"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UnknownNameError, match=r"there are IMAGENET \(backbone\)\."):
        train(configure("train.pretrained=COCO", model="Backed"), tmp_path / "run", device="cpu")


@pytest.mark.parametrize("path", ["nowhere/model.pdparams", "model.pdparams"])
def test_a_path_without_a_file_is_refused_as_such(configure, path, tmp_path):
    with pytest.raises(WeightsError, match="there is no such file"):
        train(configure(f"train.pretrained={path}"), tmp_path / "run", device="cpu")


def test_an_address_is_fetched_only_by_https(configure, published, secure, tmp_path):
    url = f"{secure.address}/toy.pdparams".replace("https", "http")
    with pytest.raises(WeightsError, match="only https://"):
        train(configure(f"train.pretrained={url}"), tmp_path / "run", device="cpu")


def test_a_server_that_cannot_prove_who_it_is_gets_no_trust(
    configure, published, secure, tmp_path, monkeypatch
):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(WeightsError, match="cannot prove who it is"):
        train(configure("train.pretrained=TOY_TOWN"), tmp_path / "run", device="cpu")


def test_offline_says_what_is_missing_and_where_it_belongs(
    configure, secure, tmp_path, monkeypatch
):
    monkeypatch.setenv("SEGCORE_OFFLINE", "1")
    with pytest.raises(OfflineError, match=r"toy\.pdparams is not in the cache.*Put the file at"):
        train(configure("train.pretrained=TOY_TOWN"), tmp_path / "run", device="cpu")
    assert secure.requests == []


def test_the_folder_of_a_run_is_weights_too(published, configure, tmp_path):
    train(configure("train.pretrained=TOY_TOWN", *STILL), tmp_path / "run", device="cpu")
    config = configure(f"train.pretrained={tmp_path / 'run'}", *STILL)
    train(config, tmp_path / "second", device="cpu")
    np.testing.assert_array_equal(
        trained(tmp_path / "second")["conv.weight"], published["conv.weight"]
    )


# -- backbones -------------------------------------------------------------------------------------


def published_as_archive(arrays):
    """A .tar.gz with model.pdparams in a folder, as backbones are published."""
    return packed({"backbone/model.pdparams": pdparams.encode(arrays)})


@pytest.fixture
def backbone(toys):
    """Weights of Backed's backbone, with the classifier that they were trained with."""
    whole = random_weights(toys, "Backed")
    arrays = {n.removeprefix("backbone."): a for n, a in whole.items() if n.startswith("backbone.")}
    return {**arrays, "fc.weight": np.ones((8, 1000), np.float32)}


def from_backbone(backbone, secure, webserver, configure, tmp_path, *settings):
    secure.pages["/backbone.tar.gz"] = webserver.page(published_as_archive(backbone))
    config = configure("train.pretrained=imagenet", *STILL, *settings, model="Backed")
    train(config, tmp_path / "run", device="cpu")
    return trained(tmp_path / "run"), (tmp_path / "run" / "train.log").read_text()


def test_a_backbone_by_name_is_unpacked_and_loaded(
    backbone, secure, webserver, configure, tmp_path
):
    found, said = from_backbone(backbone, secure, webserver, configure, tmp_path)
    np.testing.assert_array_equal(found["backbone.stage_1.weight"], backbone["stage_1.weight"])
    assert "6 of the 6 arrays of the backbone of Backed loaded" in said
    assert "1 arrays of the file were left out: fc.weight" in said


def test_a_backbone_of_other_widths_is_refused(backbone, secure, webserver, configure, tmp_path):
    wide = {**backbone, "stage_1.weight": np.ones((16, 3, 3, 3), np.float32)}
    with pytest.raises(WeightsError, match=r"stage_1.weight 16x3x3x3 instead of 8x3x3x3"):
        from_backbone(wide, secure, webserver, configure, tmp_path)


def test_a_deeper_backbone_of_the_same_family_is_refused(
    backbone, secure, webserver, configure, tmp_path
):
    deeper = {**backbone, "stage_2.weight": np.ones((8, 8, 3, 3), np.float32)}
    with pytest.raises(WeightsError, match=r"1 unexpected \(stage_2.weight"):
        from_backbone(deeper, secure, webserver, configure, tmp_path)


def test_a_backbone_that_lacks_much_is_refused(backbone, secure, webserver, configure, tmp_path):
    del backbone["norm.weight"]  # one of six is more than a tenth
    with pytest.raises(WeightsError, match=r"1 missing \(norm.weight 8\)"):
        from_backbone(backbone, secure, webserver, configure, tmp_path)


@pytest.mark.parametrize("name", ["b.pdparams", "b.tar.gz"])
def test_a_file_of_a_backbone_is_known_as_one(backbone, configure, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(
        published_as_archive(backbone) if name.endswith("gz") else pdparams.encode(backbone)
    )
    config = configure(f"train.pretrained={path}", *STILL, model="Backed")
    train(config, tmp_path / "run", device="cpu")
    found = trained(tmp_path / "run")
    np.testing.assert_array_equal(found["backbone.stage_1.weight"], backbone["stage_1.weight"])


def test_a_model_without_a_backbone_takes_none(backbone, configure, tmp_path):
    path = tmp_path / "b.pdparams"
    write_weights(path, backbone)
    with pytest.raises(WeightsError, match="does not fit Toy"):
        train(configure(f"train.pretrained={path}"), tmp_path / "run", device="cpu")


def test_what_changed_since_it_was_unpacked_is_unpacked_again(backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "b.tar.gz"
    path.write_bytes(published_as_archive(backbone))
    first = bring(Pretrained(str(path), str(path)))
    whole = first.path.read_bytes()
    for damaged in (whole[:-1] + b"\0", whole[:100]):
        first.path.write_bytes(damaged)
        again = bring(Pretrained(str(path), str(path)))
        assert again == first
        assert again.path.read_bytes() == whole
    first.path.unlink()
    assert bring(Pretrained(str(path), str(path))).path.read_bytes() == whole


def test_damage_between_fetching_and_reading_is_noticed(backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "b.tar.gz"
    path.write_bytes(published_as_archive(backbone))
    brought = bring(Pretrained(str(path), str(path)))
    data = bytearray(brought.path.read_bytes())
    data[-20] ^= 4
    brought.path.write_bytes(data)
    with pytest.raises(WeightsError, match="its sha256 is"):
        read_weights(brought.path, sha256=brought.weights_sha256)


def test_an_archive_without_weights_is_refused(secure, webserver, configure, tmp_path):
    secure.pages["/backbone.tar.gz"] = webserver.page(packed({"readme.txt": b""}))
    config = configure("train.pretrained=IMAGENET", model="Backed")
    with pytest.raises(WeightsError, match="holds 0 files of weights"):
        train(config, tmp_path / "run", device="cpu")


# -- heads -----------------------------------------------------------------------------------------


@pytest.fixture
def earlier(toys, classes, tmp_path):
    """Give what writes a run whose classes are `names`; every row of its head says which it is."""
    from segcore.checkpoint.files import write_atomic
    from segcore.config.schema import Config

    def write(*names):
        run = tmp_path / "earlier"
        (run / "best_model").mkdir(parents=True)
        data = {"num_classes": len(names), "class_names": names}
        config = Config.model_validate({"model": {"name": "Toy"}, "data": data})
        write_atomic(run / "config.yaml", render_config(config).encode())
        arrays = random_weights(toys, "Toy", len(names))
        arrays["head.bias"] = np.arange(len(names), dtype=np.float32) + 100
        write_weights(run / "best_model" / "model.pdparams", arrays)
        return run

    return write


def head_after(configure, run, tmp_path, reset):
    config = configure(f"train.pretrained={run}", f"train.reset_head={reset}", *STILL)
    train(config, tmp_path / "run", device="cpu")
    # 100 and more are rows of the earlier run; new ones begin near 0
    bias = trained(tmp_path / "run")["head.bias"]
    return [int(value) if value >= 100 else None for value in bias]


def test_rows_go_by_the_names_of_classes(configure, earlier, classes, tmp_path):
    run = earlier("other", *reversed(classes))
    rows = head_after(configure, run, tmp_path, "null")
    assert rows == [100 + len(classes) - index for index in range(len(classes))]


def test_classes_that_the_weights_do_not_know_begin_anew(configure, earlier, classes, tmp_path):
    rows = head_after(configure, earlier(classes[1], "x"), tmp_path, "null")
    assert rows == [100 if name == classes[1] else None for name in classes]
    assert (
        f"rows of the head: {classes[1]} as in the weights"
        in (tmp_path / "run" / "train.log").read_text()
    )


def test_named_classes_begin_anew(configure, earlier, classes, tmp_path):
    rows = head_after(configure, earlier(*classes), tmp_path, f"[{classes[0]}]")
    assert rows == [None, *range(101, 100 + len(classes))]


def test_all_begins_anew_even_where_the_shapes_agree(configure, earlier, classes, tmp_path):
    assert head_after(configure, earlier(*classes), tmp_path, "true") == [None] * len(classes)


def test_the_head_begins_anew_only_where_that_is_needed(configure, earlier, classes, tmp_path):
    rows = head_after(configure, earlier(*classes), tmp_path, "auto")
    assert rows == list(range(100, 100 + len(classes)))


def test_the_head_begins_anew_where_the_number_of_classes_differs(
    configure, earlier, classes, tmp_path
):
    rows = head_after(configure, earlier(*classes, "lamp"), tmp_path, "auto")
    assert rows == [None] * len(classes)


def test_a_class_that_is_none_of_ours_is_refused(configure, earlier, classes, tmp_path):
    with pytest.raises(ConfigError, match="'lamp' is no class of the data"):
        head_after(configure, earlier(*classes), tmp_path, "[lamp]")


def test_a_class_that_neither_the_weights_nor_the_list_have_is_refused(
    configure, earlier, classes, tmp_path
):
    with pytest.raises(WeightsError, match=f"do not know the classes {classes[0]}, only"):
        head_after(configure, earlier(*classes[1:]), tmp_path, f"[{classes[1]}]")


def test_rows_by_name_want_names(configure, published, tmp_path):
    with pytest.raises(WeightsError, match="nothing says which classes"):
        head_after(configure, "TOY_TOWN", tmp_path, "null")


def test_another_order_of_classes_is_said(configure, earlier, classes, tmp_path):
    head_after(configure, earlier(*reversed(classes)), tmp_path, "false")
    assert (
        "set train.reset_head to null to go by name" in (tmp_path / "run" / "train.log").read_text()
    )


def test_classes_that_nobody_can_compare_are_said(configure, earlier, classes, tmp_path):
    run = earlier(*reversed(classes))
    sealed = seal((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(sealed.replace(classes[0], f"{classes[0]}s"))
    head_after(configure, run, tmp_path, "false")
    log = (tmp_path / "run" / "train.log").read_text()
    assert re.search(r"config\.yaml: is not what the training wrote.*Nobody can tell by it", log)


def test_another_number_of_classes_is_refused_with_the_way_out(
    configure, earlier, classes, tmp_path
):
    with pytest.raises(WeightsError, match=f"another number of classes than the {len(classes)} "):
        head_after(configure, earlier(classes[0]), tmp_path, "false")
