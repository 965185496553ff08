import json

import pytest

import segcore
import segcore.nn.build  # before fixtures replace what it takes from the catalogue
from segcore.cli.main import run
from segcore.discovery import catalogue
from segcore.discovery.catalogue import Catalogue, get_own_catalogue
from segcore.discovery.find import FoundPlugin
from segcore.discovery.load import Plugin
from segcore.specs import ModelSpec, TaskSpec, WeightsSpec


@pytest.fixture(autouse=True)
def two_models(monkeypatch):
    found = FoundPlugin(name="x", value="x", distribution="segcore-x", version="1.5")
    specs = (
        ModelSpec(
            name="Beta",
            target="a:b",
            summary="The second",
            aliases=("B",),
            parameters=8_153_205,
            published={"miou": 0.77},
            weights=(WeightsSpec(trained_on="CITYSCAPES", url="https://example.org/w"),),
            options="segcore.nn.losses.options:DiceLossOptions",
        ),
        ModelSpec(name="alpha", target="a:b", task="instance"),
        TaskSpec(name="semantic", target="a:b", result="a:b"),
    )
    known = Catalogue([Plugin(found=found, status="ok", specs=specs)])
    for module in ("segcore.cli.models", "segcore.discovery.models"):
        monkeypatch.setattr(f"{module}.get_catalogue", lambda: known)
    monkeypatch.setattr(catalogue, "get_catalogue", lambda: known)


@pytest.fixture
def output(capsys):
    def of(*arguments):
        from segcore.cli.models import models_command

        models_command.main(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return of


def test_the_list_is_sorted_and_says_where_models_come_from(output):
    lines = output().splitlines()
    assert lines[1].split() == ["alpha", "instance", "segcore-x", "1.5"]
    assert lines[2].split()[:7] == ["Beta", "semantic", "8.15", "M", "~31.1", "MB", "segcore-x"]


def test_json_has_the_facts(output):
    records = json.loads(output("--json"))
    assert [record["name"] for record in records] == ["alpha", "Beta"]
    assert records[1]["qualified_name"] == "segcore-x/Beta"
    assert records[1]["parameters"] == 8_153_205


def test_models_of_one_task_are_listed(output):
    records = json.loads(output("--json", "--task", "instance"))
    assert [record["name"] for record in records] == ["alpha"]


def test_an_unknown_task_is_refused(output):
    with pytest.raises(segcore.errors.UnknownNameError, match="--task: there is no task 'semntic'"):
        output("--task", "semntic")


def test_models_that_could_be_installed_come_with_the_line_that_does_it(output):
    shown = output("--all")
    assert "pip install segcore-pplite" in shown
    assert len(json.loads(output("--all", "--json"))) == 2 + 46


def test_show_describes_options_weights_and_results(output):
    shown = output("show", "b")
    for text in ("Beta: The second", "also called  B", "miou: 0.77", "CITYSCAPES", "ignore_index"):
        assert text in shown


def test_show_as_json_has_the_schema_of_the_options(output):
    record = json.loads(output("show", "Beta", "--json"))
    assert record["options"]["additionalProperties"] is False


def test_python_lists_the_same_names():
    assert segcore.list_models() == ["alpha", "Beta"]
    assert segcore.list_models(task="semantic") == ["Beta"]


def test_a_model_not_installed_ends_with_code_3(capsys):
    assert run(["models", "show", "UNet"]) == 3
    assert "pip install segcore-unet" in capsys.readouterr().err


@pytest.fixture
def countable(monkeypatch):
    """Beta as a network of one convolution, which wants four rows of pixels."""
    from paddle import nn

    class Network(nn.Layer):
        def __init__(self, num_classes):
            super().__init__()
            self.conv = nn.Conv2D(3, num_classes, 1, bias_attr=False)

        def forward(self, images):
            if images.shape[2] < 4:
                raise ValueError("(InvalidArgument) nothing left of the image")
            return [self.conv(images)]

    class Detector(Network):
        def forward(self, inputs):
            assert inputs["im_shape"].tolist() == [[25, 40]]
            found = self.conv(inputs["image"])
            return {"bbox": found, "bbox_num": found, "mask": found}

    def build(spec, num_classes, options):
        kind = {"Beta": Network, "alpha": Detector}[spec.name]
        return kind(num_classes)

    found = FoundPlugin(name="x", value="x", distribution="segcore-x", version="1.5")
    specs = (
        ModelSpec(name="Beta", target="a:b"),
        ModelSpec(name="alpha", target="a:b", task="instance"),
    )
    plugin = Plugin(found=found, status="ok", specs=specs, build_model=build)
    known = Catalogue([*get_own_catalogue().plugins, plugin])
    for module in ("segcore.cli.models", "segcore.nn.build", "segcore.discovery.catalogue"):
        monkeypatch.setattr(f"{module}.get_catalogue", lambda: known)


def test_show_counts_what_a_model_computes_at_a_size(output, countable):
    measured = json.loads(output("show", "Beta", "--size", "40", "25", "--json"))["measured"]
    assert measured == {
        "size": [40, 25],
        "num_classes": 19,
        "parameters": 57,
        "flops": 57_000,
    }
    assert "0.06 MFLOPs for 40 x 25 pixels" in output("show", "Beta", "--size", "40", "25")


def test_a_size_that_a_model_cannot_take_is_refused(output, countable):
    with pytest.raises(segcore.errors.RequestError, match=r"--size 40 3: Beta .* nothing left"):
        output("show", "Beta", "--size", "40", "3")


def test_instance_models_are_counted_as_their_task_feeds_them(output, countable):
    measured = json.loads(output("show", "alpha", "--size", "40", "25", "--json"))["measured"]
    # images are filled up to multiples of 32 pixels
    assert (measured["parameters"], measured["flops"]) == (57, 57 * 64 * 32)


def test_show_without_a_size_builds_nothing(output):
    assert "measured" not in json.loads(output("show", "Beta", "--json"))  # its target is nowhere
