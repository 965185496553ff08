"""`segcore predict` and `segcore export`, as users call them."""

import fcntl
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from segcore.cli.main import run
from segcore.tasks.result import Result


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Two images, one of them in a folder of its own: all green, and all blue."""
    monkeypatch.chdir(tmp_path)  # where output would go by default
    folder = tmp_path / "images"
    for name, channel in (("green.png", 1), ("sub/blue.jpg", 2)):
        pixels = np.full((20, 30, 3), 40, np.uint8)
        pixels[..., channel] = 220
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return folder


def predict(*arguments):
    return run(["predict", *map(str, arguments), "--device", "cpu"])


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_each_image_gets_its_three_files(colour_run, images, tmp_path, capsys):
    output = tmp_path / "out"
    assert predict(colour_run, images, "--output", output) == 0
    assert files(output) == [
        "green.json",
        "green.png",
        "green_overlay.jpg",
        "sub/blue.json",
        "sub/blue.png",
        "sub/blue_overlay.jpg",
    ]
    with Image.open(output / "sub/blue.png") as labels:
        assert (np.asarray(labels) == 2).all()
    with Image.open(output / "green_overlay.jpg") as overlay:
        assert overlay.size == (30, 20)
    assert "2 results" in capsys.readouterr().out


def test_the_files_of_an_image_are_of_one_command(colour_run, images, tmp_path, monkeypatch):
    output, save, could_enter = tmp_path / "out", Result.save_to_json, []

    def save_after_another_tried(result, *arguments, **options):
        other = os.open(output, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            could_enter.append(True)
        except BlockingIOError:
            could_enter.append(False)
        finally:
            os.close(other)
        return save(result, *arguments, **options)

    monkeypatch.setattr(Result, "save_to_json", save_after_another_tried)
    assert predict(colour_run, images, "--output", output) == 0
    assert could_enter == [False, False]


def test_stdout_is_only_json_when_asked(colour_run, images, tmp_path, capsys):
    assert predict(colour_run, images, "--output", tmp_path / "out", "--json") == 0
    results = json.loads(capsys.readouterr().out)
    assert [r["classes"][0]["name"] for r in results] == ["green", "blue"]
    assert results[0] == json.loads((tmp_path / "out/green.json").read_text())


def test_predicting_again_into_the_input_folder_takes_no_results_as_images(
    colour_run, images, tmp_path, capsys
):
    assert predict(colour_run, images, "--output", images / "results") == 0
    before = files(images)
    assert predict(colour_run, images, "--output", images / "results") == 0
    assert files(images) == before


@pytest.mark.parametrize("size", ["64", "64x32", "-1"])
def test_target_sizes_are_taken(colour_run, images, tmp_path, capsys, size):
    options = ("--output", tmp_path / "out", f"--target-size={size}", "--json")
    assert predict(colour_run, images / "green.png", *options) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["target_size"] in (64, [64, 32], -1)
    assert (result["width"], result["height"]) == (30, 20)


def test_settings_are_given_as_in_training_and_options_go_first(
    colour_run, images, tmp_path, capsys
):
    settings = ["-o", "eval.sliding={crop: [16, 16]}", "-o", "predict.target_size=24"]
    assert predict(colour_run, images, *settings, "--target-size", 32, "--json") == 0
    for result in json.loads(capsys.readouterr().out):
        assert result["sliding"] == {"crop": [16, 16], "stride": None}
        assert result["target_size"] == 32
        assert result["runtime"] == "eager"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("train.iters=3", "means nothing to predictions, which follows data.accept_truncated_tail"),
        ("data.ignore_index=254", "data.ignore_index: means nothing"),
        ("eval.metrics=[{type: SegmentationMetrics}]", "eval.metrics: means nothing"),
        ("predict.batchsize=3", "predict.batchsize: unknown key"),
        ("predict.batch_size=0", "predict.batch_size = 0"),
        ("eval.sliding={crop: [16, 16], stride: [17, 16]}", "leaves gaps"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(
    colour_run, images, tmp_path, capsys, setting, says
):
    assert predict(colour_run, images, "--output", tmp_path / "out", "-o", setting) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bad_image_costs_itself_and_the_exit_code(colour_run, images, tmp_path, capsys):
    (images / "bad.png").write_bytes(b"junk")
    assert predict(colour_run, images, "--output", tmp_path / "out", "--batch-size", 4) == 2
    captured = capsys.readouterr()
    assert "bad.png" in captured.err
    assert "1 of 3 images could not be read" in captured.err
    assert len(files(tmp_path / "out")) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{run}", "{images}/green.png", "{images}/sub/../green.png"), "would both write"),
        (("{run}", "{images}", "--output", "{images}"), "is an input as well"),
        (("{run}", "{images}/nothing.png"), "no such file"),
        (("{images}", "{images}"), "holds no model"),
        (("Strongest-Color", "{images}"), "did you mean 'Strongest-Colour'"),
        (("{run}", "{images}", "--runtime", "padle"), "no runtime 'padle'"),
        (("{run}", "{images}", "--target-size", "big"), "1024x512"),
        (("{run}",), "Missing argument 'INPUT...'"),
    ],
)
def test_a_wrong_request_is_told_in_a_line_before_any_work(
    colour_run, images, capsys, arguments, message
):
    tmp_path = images.parent
    before = files(tmp_path)
    assert predict(*(text.format(run=colour_run, images=images) for text in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert files(tmp_path) == before


def test_ids_of_objects_are_not_for_semantic_models(colour_run, images, tmp_path, capsys):
    path = tmp_path / "ids.json"
    path.write_text('{"images": [], "annotations": [], "categories": []}')
    assert predict(colour_run, images, "--annotations", path, "--output", tmp_path / "out") == 2
    assert "semantic models find none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_device_ends_with_three(colour_run, images, capsys):
    import paddle

    if paddle.is_compiled_with_cuda():
        pytest.skip("this PaddlePaddle is a GPU build")
    assert run(["predict", str(colour_run), str(images), "--device", "gpu:0"]) == 3
    assert "CPU build" in capsys.readouterr().err


def test_an_export_of_a_run_predicts_like_the_run(colour_run, images, tmp_path, capsys):
    assert run(["export", str(colour_run), "--output", str(tmp_path / "export")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed) == [str(path) for path in sorted((tmp_path / "export").iterdir())]
    assert predict(tmp_path / "export", images, "--output", tmp_path / "out", "--json") == 0
    results = json.loads(capsys.readouterr().out)
    assert [r["classes"][0]["name"] for r in results] == ["green", "blue"]


def test_an_unknown_format_names_the_known_ones(colour_run, capsys):
    assert run(["export", str(colour_run), "--format", "onnxx"]) == 2
    assert "known: paddle" in capsys.readouterr().err


def test_export_without_weights_is_refused(colour_run, tmp_path, capsys):
    inference = tmp_path / "alone" / "inference"
    inference.parent.mkdir()
    assert run(["export", str(colour_run), "--output", str(inference)]) == 0
    capsys.readouterr()
    assert run(["export", str(inference), "--output", str(tmp_path / "again")]) == 2
    assert "weights" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("verb", ["predict", "export"])
def test_help_imports_nothing_heavy(verb):
    code = (
        "import sys\n"
        "from segcore.cli.main import run\n"
        f"assert run(['{verb}', '--help']) == 0\n"
        "sys.exit(any(name in sys.modules for name in ('paddle', 'cv2', 'numpy', 'PIL')))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
