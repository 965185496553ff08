"""The wheels together: what every installed plugin's models do, by command and from Python.

A plugin that is installed is tested by being listed; nothing here names the plugins there are.
"""

import json
import signal
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SEGCORE = (sys.executable, "-m", "segcore")
LISTED = json.loads(subprocess.check_output([*SEGCORE, "plugins", "list", "--json"]))
MODELS = json.loads(subprocess.check_output([*SEGCORE, "models", "--json"]))
PLUGINS = [p["distribution"] for p in LISTED if p["distribution"].startswith("segcore-")]
SMALL = ("-o", "train.batch_size=2", "-o", "train.crop_size=[64, 64]", "-o", "train.log_interval=1")
SHAPES = 5  # classes of the drawn dataset


def models_of(plugin):
    """The semantic models of a plugin, smallest first."""
    models = [m for m in MODELS if (m["distribution"], m["task"]) == (plugin, "semantic")]
    return sorted(models, key=lambda model: model["parameters"] or float("inf"))


TRAINABLE = [plugin for plugin in PLUGINS if models_of(plugin)]


@pytest.fixture(scope="module", params=TRAINABLE)
def run(segcore, data, request):
    """The folder of a short training of the plugin's smallest model."""
    model = models_of(request.param)[0]["name"]
    folder = segcore.folder / f"run-{request.param}"
    intervals = ("-o", "train.iters=4", "-o", "train.eval_interval=2")
    segcore("train", model, "--data", data, "--output", folder, *SMALL, *intervals)
    return folder


def test_the_packages_come_from_the_wheels(segcore):
    home = segcore.python("import segcore; print(segcore.__file__)").strip()
    assert Path(home).is_relative_to(sys.prefix)


def test_every_installed_plugin_works():
    installed = {
        distribution.metadata["Name"]
        for distribution in distributions()
        if distribution.entry_points.select(group="segcore.plugins")
    }
    assert "segcore-pplite" in installed
    assert {p["distribution"] for p in LISTED if p["status"] == "ok"} - {"segcore"} == installed


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_has_nothing_to_mend(segcore, plugin):
    segcore("plugins", "check", plugin)


@pytest.mark.parametrize("plugin", TRAINABLE)
def test_networks_give_logits_first(segcore, plugin):
    code = (
        "import sys, paddle, segcore\n"
        "for name in sys.argv[1:]:\n"
        "    network = segcore.build_model(name, num_classes=7)\n"
        "    network.eval()\n"
        "    print(list(network(paddle.zeros([2, 3, 64, 96]))[0].shape))"
    )
    names = [model["name"] for model in models_of(plugin)]
    assert segcore.python(code, *names).splitlines() == ["[2, 7, 64, 96]"] * len(names)


def test_python_lists_what_the_command_lists(segcore):
    names = segcore.python("import segcore; print(*segcore.list_models(), sep='\\n')").splitlines()
    assert sorted(names) == sorted(model["name"] for model in MODELS)


def test_importing_segcore_imports_nothing_heavy(segcore):
    code = "import sys, segcore; print({'paddle', 'cv2', 'numpy', 'pydantic'} & set(sys.modules))"
    assert segcore.python(code) == "set()\n"


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
    folder = segcore.folder / f"export-{run.name}"
    segcore("export", run, "--format", "paddle", "--output", folder)
    image = next((data / "images").iterdir())
    segcore("predict", folder, image, "--output", f"from-{folder.name}")
    assert (segcore.folder / f"from-{folder.name}" / f"{image.stem}.png").exists()


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
    model = models_of(TRAINABLE[0])[0]["name"]
    arguments = ("train", model, "--data", data, "--output", "stopped", *SMALL)
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


def test_a_model_whose_plugin_is_missing_is_named_with_its_line(segcore, data):
    known = {offer["distribution"]: offer for offer in segcore.json("models", "--all", "--json")}
    for distribution in set(known) - set(PLUGINS):
        offer = known[distribution]
        answer = segcore("train", offer["name"], "--data", data, code=3)
        assert f"pip install {distribution}" in answer.stderr
