"""Where the files of an export stand."""

import pytest

from segcore.errors import ExportError
from segcore.export.folder import find_export


def fill(folder, *names):
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("inference.yml", "inference.json", "inference.pdiparams"),
        ("inference.yml", "inference.pdmodel", "inference.pdiparams"),
        ("deploy.yaml", "model.pdmodel", "model.pdiparams"),
        ("deploy.yaml", "model.json", "model.pdiparams"),
    ],
)
def test_the_layouts_of_paddlex_and_paddleseg_are_found(tmp_path, names):
    export = find_export(fill(tmp_path, *names))
    assert (export.description.name, export.program.name, export.params.name) == names


def test_of_two_programs_the_newer_form_counts(tmp_path):
    names = ("inference.yml", "inference.json", "inference.pdmodel", "inference.pdiparams")
    assert find_export(fill(tmp_path, *names)).program.name == "inference.json"


def test_a_folder_without_a_description_is_no_export(tmp_path):
    assert find_export(fill(tmp_path, "inference.json", "inference.pdiparams")) is None


@pytest.mark.parametrize("missing", ["inference.json", "inference.pdiparams"])
def test_an_export_in_pieces_says_what_is_missing(tmp_path, missing):
    names = {"inference.yml", "inference.json", "inference.pdiparams"} - {missing}
    with pytest.raises(ExportError, match=missing):
        find_export(fill(tmp_path, *names))
