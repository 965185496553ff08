"""One plugin with the core, from their wheels: everything that its users do, and its README.

`run.sh` installs each plugin by itself in turn. Nothing here names the plugins there are.
"""

import json
import re
import shlex
import signal
import subprocess
import sys
from importlib.metadata import metadata

import numpy as np
import pytest
from PIL import Image

SEGCORE = (sys.executable, "-m", "segcore")
LISTED = json.loads(subprocess.check_output([*SEGCORE, "plugins", "list", "--json"]))
(PLUGIN,) = (p["distribution"] for p in LISTED if p["distribution"].startswith("segcore-"))
MODELS = json.loads(subprocess.check_output([*SEGCORE, "models", "--json"]))
SMALLEST = min(MODELS, key=lambda model: model["parameters"] or float("inf"))["name"]
SMALL = ("-o", "train.batch_size=2", "-o", "train.crop_size=[64, 64]", "-o", "train.log_interval=1")
SHAPES = 5  # classes of the drawn dataset


@pytest.fixture(scope="module")
def run(segcore, data):
    """The folder of a short training of the plugin's smallest model."""
    folder = segcore.folder / "run"
    intervals = ("-o", "train.iters=4", "-o", "train.eval_interval=2")
    segcore("train", SMALLEST, "--data", data, "--output", folder, *SMALL, *intervals)
    return folder


def test_the_plugin_has_nothing_to_mend(segcore):
    segcore("plugins", "check", PLUGIN)


def test_networks_give_logits_first(segcore):
    code = (
        "import sys, paddle, segcore\n"
        "for name in sys.argv[1:]:\n"
        "    network = segcore.build_model(name, num_classes=7)\n"
        "    network.eval()\n"
        "    print(list(network(paddle.zeros([2, 3, 64, 96]))[0].shape))"
    )
    names = [model["name"] for model in MODELS]
    assert segcore.python(code, *names).splitlines() == ["[2, 7, 64, 96]"] * len(names)


def test_the_readme_is_right(segcore):
    """Its first block installs the plugin, and trains, measures and predicts on a drawn dataset."""
    block = re.search(r"```\n(pip install .*?)```", metadata(PLUGIN)["Description"], re.DOTALL)
    install, *commands = block[1].replace("\\\n", " ").splitlines()
    assert install == f'pip install "segcore[cpu]" {PLUGIN}'
    verbs = [shlex.split(command)[1] for command in commands]
    assert verbs == ["data", "train", "eval", "predict"]
    for command in commands:
        segcore(*shlex.split(command)[1:])
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


def test_a_run_is_measured(segcore, data, run):
    answer = segcore("eval", run, "--data", data, "--json", "--fail-under", "1.01", code=1)
    result = json.loads(answer.stdout)
    assert result == json.loads((run / "evaluate_result.json").read_text())
    assert len(result["metrics"]["category_iou"]) == SHAPES
    assert np.sum(result["metrics"]["confusion_matrix"]) == result["images"] * 64 * 64


def test_the_network_and_its_graph_predict_the_same(segcore, data, run):
    for runtime in ("eager", "paddle"):
        segcore("predict", run, data / "images", "--output", runtime, "--runtime", runtime)
    stems = sorted(path.stem for path in (data / "images").iterdir())
    files = {f"{stem}{end}" for stem in stems for end in (".png", "_overlay.jpg", ".json")}
    assert {path.name for path in (segcore.folder / "paddle").iterdir()} == files
    agreement = []
    for stem in stems:
        eager, graph = (
            np.asarray(Image.open(segcore.folder / runtime / f"{stem}.png"))
            for runtime in ("eager", "paddle")
        )
        assert graph.shape == (64, 64)
        assert graph.max() < SHAPES
        agreement.append(np.mean(eager == graph))
    # equal but for ties that rounding decides
    assert np.mean(agreement) > 0.999


def test_a_run_is_exported_and_the_export_predicts(segcore, data, run):
    folder = segcore.folder / "export"
    segcore("export", run, "--format", "paddle", "--output", folder)
    image = next((data / "images").iterdir())
    segcore("predict", folder, image, "--output", "from-export")
    assert (segcore.folder / "from-export" / f"{image.stem}.png").exists()


def test_python_predicts_from_every_kind_of_input(segcore, data, run):
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
    answer = segcore.python(code, run, data / "images").splitlines()
    assert answer == ["[1, 3, 10, 1]", "64 (64, 64)"]
    assert (segcore.folder / "out" / "result.json").exists()


def test_a_stopped_training_goes_on(segcore, data):
    arguments = ("train", SMALLEST, "--data", data, "--output", "stopped", *SMALL)
    arguments += ("-o", "train.iters=12", "-o", "train.eval_interval=12")
    command = [*SEGCORE, *map(str, arguments)]
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
