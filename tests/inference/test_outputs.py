"""Results have names of their own, and replace nothing but earlier results of the same kind."""

import json
import shutil
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
from PIL import Image

from segcore.checkpoint.ownership import Guard, is_unknown
from segcore.errors import OutputError
from segcore.inference.inputs import ImageInput
from segcore.inference.outputs import check_outputs
from segcore.inference.result import SegmentationResult

ENDS = SegmentationResult.recognisers()


@pytest.fixture
def make_result(stripes, stripe_classes):
    """Give what makes the result of an image of that name and place."""

    def make(name, source):
        return SegmentationResult(name, str(source), stripes, stripe_classes)

    return make


def inputs(*names):
    return [ImageInput(name, f"{name} ({number})", "") for number, name in enumerate(names)]


def check(folder, *names, besides=(), **options):
    check_outputs(
        inputs(*names), folder, ENDS, dict.fromkeys(besides, is_unknown), Guard(**options)
    )


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("A", "a"),
        ("x/a", "X/A"),
        (unicodedata.normalize("NFC", "ö"), unicodedata.normalize("NFD", "ö")),
        ("straße", "STRASSE"),
    ],
)
def test_two_images_with_one_name_are_refused(tmp_path, names):
    with pytest.raises(OutputError, match="would both write"):
        check(tmp_path, *names)


@pytest.mark.parametrize("name", ["coco_results", "COCO_Results"])
def test_an_image_named_like_the_file_of_all_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match=r"all images together \(coco_results\.json\)"):
        check(tmp_path, name, besides=["coco_results.json"])
    check(tmp_path, f"sub/{name}", besides=["coco_results.json"])


def test_a_folder_of_results_and_a_file_of_one_name_are_refused(tmp_path):
    with pytest.raises(OutputError, match="needs the folder"):
        check(tmp_path, "a", "a.json/b")


def test_names_that_only_look_alike_are_fine(tmp_path):
    check(tmp_path, "a", "b", "x/a", "y/a", "a.b", "a_overlay")


@pytest.mark.parametrize("name", ["a.png", "a_overlay.jpg", "a.json"])
def test_a_file_of_a_stranger_is_found_before_any_work(tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(OutputError, match="is not what this command writes"):
        check(tmp_path, "b", "a")
    check(tmp_path, "b", "a", force=True)


def test_saving_again_replaces_earlier_results(make_result, tmp_path):
    result = make_result("a", tmp_path / "in" / "a.png")
    for _ in range(2):
        result.save_to_img(tmp_path / "out")
        result.save_to_json(tmp_path / "out")
        result.save_to_img(tmp_path / "picture.png")
        result.save_to_img(tmp_path / "picture.jpg")
    assert sorted(contents(tmp_path / "out")) == ["a.json", "a.png", "a_overlay.jpg"]


def test_a_result_of_another_kind_is_not_replaced(make_result, tmp_path):
    result = make_result("a", tmp_path / "in" / "a.png")
    result.save_to_img(tmp_path)
    with pytest.raises(OutputError, match="is not what this command writes"):
        result.save_to_img(tmp_path / "a.png")  # the overlay in place of the label map
    (tmp_path / "a.json").write_text(json.dumps({"written_by": "segcore eval"}))
    with pytest.raises(OutputError):
        result.save_to_json(tmp_path)


@pytest.mark.parametrize("force", [False, True])
def test_the_image_that_was_predicted_is_never_replaced(
    make_result, stripes, save_image, tmp_path, monkeypatch, force
):
    photo = save_image(stripes, tmp_path / "photo.png")
    (tmp_path / "link.png").symlink_to(photo)
    (tmp_path / "hard.png").hardlink_to(photo)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    for source in ("photo.png", photo, "link.png", "hard.png"):
        result = make_result("photo", source)
        for target in (".", "photo.png", photo, "link.png", "hard.png", "sub/../photo.png"):
            with pytest.raises(OutputError, match=r"an input of\s+this\s+command"):
                result.save_to_img(target, force=force)
    assert contents(tmp_path) == before


def test_files_of_strangers_stay_unless_forced(make_result, tmp_path):
    result = make_result("a", tmp_path / "in" / "a.png")
    (tmp_path / "a_overlay.jpg").write_bytes(b"mine")
    (tmp_path / "a.json").write_bytes(b'{"shapes": []}')
    before = contents(tmp_path)
    for save in (result.save_to_img, result.save_to_json):
        with pytest.raises(OutputError, match="force=True"):
            save(tmp_path)
    assert contents(tmp_path) == before  # nor was the label map written
    result.save_to_img(tmp_path, force=True)
    result.save_to_json(tmp_path, force=True)
    assert json.loads((tmp_path / "a.json").read_text()) == result.json


def test_images_of_one_name_do_not_share_a_folder(make_result, tmp_path):
    make_result("a", "x/a.png").save_to_img(tmp_path)
    before = contents(tmp_path)
    for save in ("save_to_img", "save_to_json"):
        with pytest.raises(OutputError, match="another image of that name"):
            getattr(make_result("a", "y/a.png"), save)(tmp_path)
    assert contents(tmp_path) == before
    make_result("a", "y/a.png").save_to_img(tmp_path / "b.png")
    make_result("a", "y/a.png").save_to_img(tmp_path, force=True)
    shutil.rmtree(tmp_path)
    make_result("a", "x/a.png").save_to_img(tmp_path)  # nothing is there any more


def test_arrays_of_several_calls_get_names_of_their_own(make_result, tmp_path):
    results = [make_result("array_0", "array 0") for _ in range(3)]
    for result in results:
        result.save_to_img(tmp_path)
    for result in reversed(results):
        result.save_to_json(tmp_path)
        result.save_to_img(tmp_path)  # its own again
    ends = (".json", ".png", "_overlay.jpg")
    assert sorted(contents(tmp_path)) == [f"array_{n}{end}" for n in range(3) for end in ends]
    assert result.save_to_json(tmp_path / "new").name == "array_0.json"


def test_arrays_that_threads_save_at_once_get_names_of_their_own(make_result, tmp_path):
    results = [make_result("array_0", "array 0") for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda result: result.save_to_json(tmp_path), results))
    assert sorted(path.name for path in paths) == sorted(f"array_{n}.json" for n in range(16))


def test_arrays_do_not_replace_those_of_an_earlier_process(make_result, tmp_path):
    (tmp_path / "array_0.json").write_bytes(b"{}")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "array_1.png")
    paths = make_result("array_0", "array 0").save_to_img(tmp_path)
    assert [path.name for path in paths] == ["array_2.png", "array_2_overlay.jpg"]


def test_arrays_that_processes_save_at_once_get_names_of_their_own(make_result, tmp_path):
    context = get_context("fork")
    start, answers = context.Barrier(4), context.Queue()

    def save():
        start.wait()
        for _ in range(8):
            answers.put(make_result("array_0", "array 0").save_to_json(tmp_path).name)

    processes = [context.Process(target=save) for _ in range(4)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in range(32)]
    for process in processes:
        process.join()
    assert sorted(found) == sorted(f"array_{n}.json" for n in range(32))


def test_of_images_of_one_name_that_threads_save_at_once_one_is_saved(make_result, tmp_path):
    results = [make_result("a", tmp_path / str(n) / "a.png") for n in range(16)]

    def save(result):
        try:
            return result.save_to_json(tmp_path)
        except OutputError:
            return None

    with ThreadPoolExecutor(8) as pool:
        saved = [path for path in pool.map(save, results) if path is not None]
    assert saved == [tmp_path / "a.json"]


def test_a_file_that_is_called_like_an_array_is_none(make_result, tmp_path):
    array = make_result("array_0", "array 0")
    array.save_to_json(tmp_path)
    before = contents(tmp_path)
    for name in ("array_0.png", "array 0"):
        source = tmp_path / "in" / name
        file = replace(make_result(source.stem, name), origin=str(source))
        if name == "array_0.png":
            with pytest.raises(OutputError, match="another image of that name"):
                file.save_to_json(tmp_path)
        else:
            assert file.save_to_json(tmp_path).name == "array 0.json"
    assert before.items() <= contents(tmp_path).items()


@pytest.mark.parametrize(
    ("save", "name"),
    [("save_to_img", f"a{end}") for end in (".bmp", ".TIF", ".webp", ".json")]
    + [("save_to_json", f"a{end}") for end in (".txt", ".png", ".yml")],
)
def test_a_file_of_a_kind_that_is_not_written_is_refused(make_result, tmp_path, save, name):
    with pytest.raises(OutputError, match=r"files written here end in \.j"):
        getattr(make_result("a", "a.png"), save)(tmp_path / name)
    assert not contents(tmp_path)
    (tmp_path / name).mkdir()  # whoever calls a folder so has it
    getattr(make_result("a", "a.png"), save)(tmp_path / name)


def test_results_are_told_apart_by_being_themselves(make_result):
    one, other = make_result("a", "a.png"), make_result("a", "a.png")
    assert one != other
    assert len({one, other}) == 2
