import pytest

from segcore.config.load import parse_document
from segcore.config.render import render_config
from segcore.config.resolve import resolve_config
from segcore.config.schema import Config

CASES = [
    (),
    (
        "train.transforms="
        "[{type: Crop, crop_size: 3}, {type: ResizeStepScaling, scale: 1e-9, x: [a, {b: no}]}]",
    ),
    ("model.options={backbone: 'a: b', channels: 3}", "data.label_map={255: 1, 7: 0}"),
    ("eval.sliding={crop: [64, 32], stride: [48, 32]}",),
    ("data.path='/tmp/no # \\ \"x\" é'", "train.learning_rate=1e-7", "train.epochs=3"),
    ('data.path="\\n\\u2028\\x1b"', "predict.target_size=-1", "train.observers=[{type: CSVLog}]"),
]


@pytest.fixture
def resolve(catalogue):
    return lambda *options: resolve_config("Net", None, options, {}, catalogue)


@pytest.mark.parametrize("options", CASES)
def test_what_is_printed_reads_back_as_the_same(resolve, options):
    resolved = resolve(*options)
    text = render_config(resolved.config, resolved.origins)
    assert Config.model_validate(parse_document(text, "c").data) == resolved.config


@pytest.mark.parametrize("options", CASES)
def test_a_printed_file_resolves_to_the_same(resolve, catalogue, tmp_path, options):
    config = resolve(*options).config
    path = tmp_path / "config.yaml"
    path.write_text(render_config(config))
    assert resolve_config(None, path, (), {}, catalogue).config == config


def test_every_key_is_there_with_its_description(resolve):
    lines = render_config(resolve().config).splitlines()
    for section in (Config, *(type(value) for _, value in resolve().config)):
        fields = getattr(section, "model_fields", {})
        for name in fields:
            places = [n for n, line in enumerate(lines) if line.strip().startswith(f"{name}:")]
            assert places, name
            assert all(lines[place - 1].strip().startswith("# ") for place in places), name


def test_what_is_no_default_bears_its_origin(resolve):
    resolved = resolve("train.seed=7", "train.transforms.1.type=Crop")
    lines = render_config(resolved.config, resolved.origins).splitlines()
    assert "  seed: 7  # -o train.seed=7" in lines
    assert "    - {type: Crop}  # -o train.transforms.1.type=Crop" in lines
    assert "  log_interval: 10" in lines


def test_an_origin_cannot_break_out_of_its_remark(resolve):
    resolved = resolve("data.path='a\n\nb'")
    text = render_config(resolved.config, resolved.origins)
    assert parse_document(text, "c").data["data"]["path"] == "a\nb"
    assert r"# -o data.path='a\x0a\x0ab'" in text
