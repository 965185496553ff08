"""One fault of each kind, planted in a clean dataset, is found with its code, file and count."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from segcore.config.schema import DataConfig
from segcore.data.check import check_dataset


def load_corpus():
    spec = spec_from_file_location("check_corpus", Path(__file__).with_name("corpus.py"))
    module = sys.modules[spec.name] = module_from_spec(spec)  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


corpus = load_corpus()


def found(result):
    return sorted((finding.code, finding.file, finding.count) for finding in result.findings)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "set"


@pytest.mark.parametrize("plant", corpus.PLANTS, ids=str)
def test_a_planted_fault_is_found(root, plant):
    corpus.draw_clean(root)
    plant.plant(root)
    result = check_dataset(root, config=DataConfig(**plant.settings), workers=0)
    expected = {(plant.code, plant.file, plant.count), *plant.also}
    assert expected <= set(found(result))
    assert not unexplained(result, plant)


def unexplained(result, plant):
    """Give findings that neither are the planted one nor follow from it."""
    known = {plant.code, *(code for code, _, _ in plant.also)}
    return [finding for finding in result.findings if finding.code not in known]


@pytest.mark.parametrize("plant", corpus.COCO_PLANTS, ids=str)
def test_a_planted_fault_is_found_in_coco(root, plant):
    corpus.draw_clean_coco(root)
    plant.plant(root)
    result = check_dataset(root, config=DataConfig(**plant.settings), workers=0)
    assert (plant.code, plant.file, plant.count) in found(result)


@pytest.mark.parametrize("draw", [corpus.draw_clean, corpus.draw_clean_coco])
def test_nothing_is_found_in_the_clean_dataset(root, draw):
    draw(root)
    assert found(check_dataset(root, workers=0)) == []
