"""inference.yml, as segcore writes it and as others do."""

import pytest
import yaml

from segcore.config.schema import Config
from segcore.errors import ConfigError, ExportError
from segcore.export.yml import read_description, render_description


def write(folder, config, names=("background", "disc", "cup"), transforms=None):
    steps = transforms or [{"type": "Normalize", "mean": [0.4, 0.5, 0.6], "std": [0.5, 0.5, 0.5]}]
    text = render_description(
        config,
        steps,
        task="semantic",
        class_names=names,
        deployment={"output_op": "argmax"},
        program="inference.json",
        params="inference.pdiparams",
    )
    path = folder / "inference.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_paddlex_reads_is_where_paddlex_looks(config, tmp_path):
    content = yaml.safe_load(write(tmp_path, config).read_text())
    assert content["Global"] == {"model_name": "PP-LiteSeg-T"}
    (step,) = content["Deploy"]["transforms"]
    # PaddleX passes every key but `type` on, and its Normalize knows no others than these
    assert step == {"type": "Normalize", "mean": [0.4, 0.5, 0.6], "std": [0.5, 0.5, 0.5]}
    assert content["Deploy"]["model"] == "inference.json"
    assert content["Deploy"]["params"] == "inference.pdiparams"


def test_reading_gives_what_was_written(config, tmp_path):
    description = read_description(write(tmp_path, config))
    assert description.task == "semantic"
    assert description.class_names == ("background", "disc", "cup")
    assert description.config.model == config.model
    assert description.config.predict == config.predict
    assert description.config.data.mean == config.data.mean


def test_the_folder_of_the_training_data_stays_private(config, tmp_path):
    path = write(tmp_path, config)
    assert "/home/me" not in path.read_text()
    assert read_description(path).config.data.path is None


@pytest.mark.parametrize("name", ["no", "1e5", "0x10", "null", "a: b", "Straße", "012", "~", " x"])
def test_names_of_classes_come_back_as_text(config, tmp_path, name):
    path = write(tmp_path, config, names=(name,))
    assert read_description(path).class_names == (name,)
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["Segcore"]["class_names"] == [name]


def test_a_label_map_of_the_configuration_survives(tmp_path):
    config = Config.model_validate({"model": {"name": "M"}, "data": {"label_map": {255: 1}}})
    assert read_description(write(tmp_path, config)).config.data.label_map == {255: 1}


def test_transforms_that_somebody_edited_are_followed(config, tmp_path):
    path = write(tmp_path, config)
    path.write_text(path.read_text().replace("0.4", "0.3", 1))
    (step,) = read_description(path).config.eval.transforms
    assert step.options["mean"] == [0.3, 0.5, 0.6]


def foreign(folder, text):
    path = folder / "inference.yml"
    path.write_text(text)
    return read_description(path, "SegFormer-B0")


def test_a_description_of_paddlex_is_read_with_its_defaults(tmp_path):
    description = foreign(
        tmp_path,
        """
Deploy:
  input_shape: [null, 3, null, null]
  model: inference.pdmodel
  output_dtype: int32
  output_op: argmax
  params: inference.pdiparams
  transforms:
  - type: Normalize
    mean: 0.25
  - type: Resize
    target_size: 512
Global: {model_name: OCRNet_HRNet-W18}
Hpi: {backend_config: {onnx_runtime: {}}}
""",
    )
    normalize, resize = description.config.eval.transforms
    assert normalize.options == {"mean": [0.25] * 3, "std": [0.5] * 3}
    assert resize.options == {"target_size": [512, 512], "keep_ratio": True, "size_divisor": 32}
    assert description.config.model.name == "OCRNet_HRNet-W18"
    assert (description.task, description.class_names) == (None, None)


OBJECTS = """
mode: paddle
draw_threshold: 0.4
metric: COCO
use_dynamic_shape: false
Global: {model_name: MaskRCNN-ResNet50-FPN}
arch: RCNN
min_subgraph_size: 40
mask: true
Preprocess:
- {interp: 2, keep_ratio: true, target_size: [800, 1333], type: Resize}
- {is_scale: true, mean: [0.4, 0.5, 0.6], std: [0.2, 0.2, 0.2], type: NormalizeImage}
- {type: Permute}
- {stride: 32, type: PadStride}
label_list: [apple, 7]
"""


def test_a_description_of_objects_by_paddlex_is_read(tmp_path):
    description = foreign(tmp_path, OBJECTS)
    assert (description.task, description.class_names) == ("instance", ("apple", "7"))
    config = description.config
    assert config.model.name == "MaskRCNN-ResNet50-FPN"
    assert config.data.num_classes == 2
    assert config.predict.score_threshold == 0.4
    resize, normalize = config.eval.transforms
    assert resize.options == {"target_size": [1333, 800], "keep_ratio": True, "interp": "CUBIC"}
    assert normalize.options == {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mask: true", "", "no masks"),
        ("PadStride", "WarpAffine", "Preprocess: the operation WarpAffine"),
        ("draw_threshold: 0.4", "draw_threshold: 4", "draw_threshold"),
    ],
)
def test_what_is_wrong_with_a_description_of_objects_is_told(tmp_path, old, new, message):
    with pytest.raises(ExportError, match=message):
        foreign(tmp_path, OBJECTS.replace(old, new))


def test_a_resize_of_paddlex_to_the_own_size_is_none(tmp_path):
    description = foreign(tmp_path, "Deploy: {transforms: [{type: Resize}, {type: Normalize}]}")
    assert [step.type for step in description.config.eval.transforms] == ["Normalize"]
    assert description.config.model.name == "SegFormer-B0"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("Global: {model_name: A}", "Deploy"),
        ("Deploy: {transforms: [{mean: 1}]}", r"Deploy\.transforms\.0\.type"),
        ("Deploy: {}\nSegcore: {task: semantic}", r"Segcore\.class_names"),
        (
            "Deploy: {}\nSegcore: {task: t, class_names: [], config: {model: {nam: A}}}",
            r"Segcore\.config\.model",
        ),
    ],
)
def test_what_is_wrong_is_told_by_key(tmp_path, text, where):
    with pytest.raises(ExportError, match=where):
        foreign(tmp_path, text)


def test_a_later_format_is_refused(config, tmp_path):
    path = write(tmp_path, config)
    path.write_text(path.read_text().replace("format: 1", "format: 2", 1))
    with pytest.raises(ExportError, match=r"Segcore\.format"):
        read_description(path)


def test_tags_that_would_run_code_are_refused(tmp_path):
    with pytest.raises(ConfigError):
        foreign(tmp_path, "Deploy: !!python/object/apply:os.system [true]")
