"""One plugin with the core, from their wheels: everything that its users do, and its README.

`run.sh` installs each plugin by itself in turn. Nothing here names the plugins there are.
"""

import json
import re
import shlex
import signal
import subprocess
from importlib.metadata import metadata

import pytest

from conftest import COMMAND

SETTINGS = {
    "semantic": ("train.crop_size=[64, 64]",),
    # not the size that photographs are brought to, nor their numbers of regions
    "instance": (
        "train.learning_rate=0.001",
        "train.transforms=[{type: Normalize}]",
        "eval.transforms=[{type: Normalize}]",
        "model.options.norm=batch",
        "model.options.rcnn_batch_size_per_im=16",
        "model.options.train_post_nms_top_n=64",
        "model.options.test_post_nms_top_n=32",
    ),
}
"""What lets models of each task train on tiny drawings in seconds."""


@pytest.fixture(scope="module")
def models(segcore):
    """The plugin's models."""
    return segcore.json("models", "--json")


@pytest.fixture(scope="module")
def plugin(models):
    """The distribution that the models come from."""
    return models[0]["distribution"]


@pytest.fixture(scope="module")
def task(models):
    """The task of the plugin's models."""
    return models[0]["task"]


@pytest.fixture(scope="module")
def readme(plugin):
    """The commands of the first block of the plugin's README."""
    block = re.search(r"```\n(pip install .*?)```", metadata(plugin)["Description"], re.DOTALL)
    return [shlex.split(line) for line in block[1].replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="module")
def drawn(segcore, task):
    """A drawn dataset of the plugin's task: ten images of 64 x 64 pixels."""
    kind = {"semantic": "shapes", "instance": "instances"}[task]
    segcore("data", "demo", "drawn", "--kind", kind, "--images", 10, "--size", 64)
    return segcore.folder / "drawn"


@pytest.fixture(scope="module")
def training(readme, task, drawn):
    """The command that trains the model of the README on tiny drawings, without its length."""
    settings = ("train.batch_size=2", "train.log_interval=1", *SETTINGS[task])
    options = [part for setting in settings for part in ("-o", setting)]
    model = next(words[2] for words in readme if words[1] == "train")
    return ("train", model, "--data", drawn, *options)


@pytest.fixture(scope="module")
def run(segcore, training):
    """The folder of a short training."""
    folder = segcore.folder / "short-run"
    segcore(*training, "--output", folder, "--iters", 4, "-o", "train.eval_interval=2")
    return folder


def test_the_plugin_has_nothing_to_mend(segcore, plugin):
    segcore("plugins", "check", plugin)


def test_networks_give_logits_first(segcore, models, task):
    if task != "semantic":
        pytest.skip(f"{task} networks have other outputs")
    code = (
        "import sys, paddle, segcore\n"
        "for name in sys.argv[1:]:\n"
        "    network = segcore.build_model(name, num_classes=7)\n"
        "    network.eval()\n"
        "    print(list(network(paddle.zeros([2, 3, 64, 96]))[0].shape))"
    )
    names = [model["name"] for model in models]
    assert segcore.python(code, *names).splitlines() == ["[2, 7, 64, 96]"] * len(names)


def test_the_readme_is_right(segcore, plugin, readme):
    """Its first block installs the plugin, and trains, measures and predicts on a drawn dataset."""
    install, *commands = readme
    assert install == ["pip", "install", "segcore[cpu]", plugin]
    assert [words[1] for words in commands] == ["data", "train", "eval", "predict"]
    for words in commands:
        segcore(*words[1:])
    assert list((segcore.folder / "predictions").glob("*_overlay.jpg"))


def test_a_training_leaves_its_files(run):
    best, graph = run / "best_model", run / "best_model" / "inference"
    for file in ("config.yaml", "train.log", "metrics.jsonl"):
        assert (run / file).stat().st_size > 0
    assert json.loads((run / "train_result.json").read_text())["done_flag"] is True
    assert [folder.name for folder in sorted((run / "checkpoints").iterdir())]
    assert {"model.pdparams", "model.pdopt", "model.pdstates"} <= {p.name for p in best.iterdir()}
    assert (graph / "inference.json").exists() or (graph / "inference.pdmodel").exists()
    assert (graph / "inference.pdiparams").exists()
    assert (graph / "inference.yml").exists()


def test_a_run_is_measured(segcore, drawn, run):
    answer = segcore("eval", run, "--data", drawn, "--json", "--fail-under", "1.01", code=1)
    result = json.loads(answer.stdout)
    assert result == json.loads((run / "evaluate_result.json").read_text())
    assert 0 <= result["score"] == result["metrics"][result["best"]] <= 1


def test_the_network_and_its_graph_measure_the_same(segcore, drawn, run):
    eager, graph = (
        segcore.json("eval", run, "--data", drawn, "--runtime", runtime, "--json")["score"]
        for runtime in ("eager", "paddle")
    )
    assert eager == pytest.approx(graph, abs=1e-3)


def test_classes_and_pictures_are_predicted(segcore, drawn, run, task):
    segcore("predict", run, drawn / "images", "--output", "predicted")
    stems = sorted(path.stem for path in (drawn / "images").iterdir())
    ends = {
        "semantic": (".png", "_overlay.jpg", ".json"),
        "instance": ("_overlay.jpg", ".json"),
    }[task]
    files = {path.name for path in (segcore.folder / "predicted").iterdir()}
    assert {f"{stem}{end}" for stem in stems for end in ends} <= files


def test_a_run_is_exported_and_the_export_predicts(segcore, drawn, run):
    folder = segcore.folder / "export"
    segcore("export", run, "--format", "paddle", "--output", folder)
    image = next((drawn / "images").iterdir())
    segcore("predict", folder, image, "--output", "from-export")
    assert (segcore.folder / "from-export" / f"{image.stem}_overlay.jpg").exists()


def test_python_predicts_from_every_kind_of_input(segcore, drawn, run):
    code = """
import sys
from pathlib import Path
import numpy as np
import segcore
folder, images = Path(sys.argv[1]), Path(sys.argv[2])
model = segcore.create_model(
    model_dir=folder / "best_model" / "inference", device="cpu", target_size=None, use_hpip=False
)
paths = sorted(map(str, images.iterdir()))
inputs = [paths[0], paths[:3], str(images), np.zeros((40, 50, 3), np.uint8)]
print([len(list(model.predict(each, batch_size=2))) for each in inputs])
for result in model.predict(paths[0], batch_size=1):
    result.save_to_img("out/")
    result.save_to_json("out/result.json")
    print(result.json["width"], result.img.size)
"""
    answer = segcore.python(code, run, drawn / "images").splitlines()
    assert answer == ["[1, 3, 10, 1]", "64 (64, 64)"]
    assert (segcore.folder / "out" / "result.json").exists()


def test_a_stopped_training_goes_on(segcore, training):
    arguments = (*training, "--output", "stopped", "--iters", 12, "-o", "train.eval_interval=12")
    command = [COMMAND, *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=segcore.folder, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if line.startswith("step 2 of 12"):
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    segcore(*arguments, "--resume")
    records = map(json.loads, (segcore.folder / "stopped" / "metrics.jsonl").open())
    steps = [record["step"] for record in records if record["event"] == "train"]
    assert steps == list(range(1, 13))
