"""Batches from the loader: the same for any number of workers, in order, also when resumed."""

import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from segcore.data.loader import Loader
from segcore.data.sampler import Sampler
from segcore.data.transforms.blur import RandomBlur
from segcore.data.transforms.build import Pipeline
from segcore.data.transforms.crop import RandomPaddingCrop
from segcore.data.transforms.distort import RandomDistort
from segcore.data.transforms.flip import RandomHorizontalFlip, RandomVerticalFlip
from segcore.data.transforms.normalize import Normalize
from segcore.data.transforms.resize import ResizeStepScaling
from segcore.data.transforms.rotate import RandomRotation
from segcore.data.transforms.scale_aspect import RandomScaleAspect
from segcore.errors import DataError, ExhaustedError, LabelError
from segcore.tasks.batch import collate_semantic

EVERY_AUGMENTATION = Pipeline(
    (
        ResizeStepScaling(min_scale_factor=0.5, max_scale_factor=2.0),
        RandomRotation(),
        RandomScaleAspect(),
        RandomPaddingCrop(crop_size=(32, 32), category_max_ratio=0.5),
        RandomHorizontalFlip(),
        RandomVerticalFlip(prob=0.5),
        RandomBlur(prob=0.5, blur_type="random"),
        RandomDistort(sharpness_prob=0.5),
        Normalize(),
    )
)
NOTHING = Pipeline(())


@pytest.fixture
def numbered(monkeypatch):
    """Give the module of data sets, importable here and so in the workers."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import numbered

    yield numbered
    sys.modules.pop("numbered")


def load(dataset, num_workers, *, pipeline=EVERY_AUGMENTATION, **options):
    sampler = Sampler(len(dataset), 4, seed=3)
    options = {"continuous": True, **options}
    return Loader(dataset, pipeline, sampler, collate_semantic, num_workers=num_workers, **options)


def content(batches):
    return [
        (batch.indices, batch.images.tobytes(), batch.labels.tobytes(), batch.labels.dtype.str)
        for batch in batches
    ]


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_bits_do_not_depend_on_the_number_of_workers(numbered, num_workers):
    with load(numbered.Numbered(), 0) as inline, load(numbered.Numbered(), num_workers) as loader:
        for epoch in range(3):
            assert content(loader.epoch(epoch)) == content(inline.epoch(epoch))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_epoch_gives_the_rest_of_it(numbered, num_workers):
    with load(numbered.Numbered(40), 0) as straight:
        expected = content(straight.epoch(1))
    with load(numbered.Numbered(40), num_workers) as loader:
        assert content(loader.epoch(1, start=4)) == expected[4:]


def test_an_abandoned_epoch_leaves_nothing_behind(numbered):
    with load(numbered.Numbered(40), 2) as loader, load(numbered.Numbered(40), 0) as straight:
        next(iter(loader.epoch(0)))
        assert content(loader.epoch(2)) == content(straight.epoch(2))
        assert content(loader.epoch(0)) == content(straight.epoch(0))


def test_workers_stay_from_epoch_to_epoch(numbered):
    with load(numbered.Numbered(), 2, continuous=False) as loader:
        list(loader.epoch(0))
        first = loader.worker_pids
        list(loader.epoch(1))
        assert loader.worker_pids == first
        assert len(first) == 2


def test_workers_import_no_paddle(numbered):
    with load(numbered.Modules(4), 1) as loader:
        (batch,) = loader.epoch(0)
    assert "segcore.data.worker" in batch.sources[0].split()
    assert "paddle" not in batch.sources[0].split()


def test_workers_leave_ctrl_c_to_the_parent(numbered):
    with load(numbered.Numbered(80), 1) as loader:
        batches = loader.epoch(0)
        next(batches)
        os.kill(loader.worker_pids[0], signal.SIGINT)
        assert len(list(batches)) == 19


def test_a_batch_that_cannot_be_handed_over_is_told(numbered):
    with load(numbered.Numbered(80), 1) as loader:
        batches = loader.epoch(0)
        next(batches)
        resource.prlimit(loader.worker_pids[0], resource.RLIMIT_FSIZE, (64, 64))
        with pytest.raises(ExhaustedError, match=r"handed over .*: File too large\. Take smaller"):
            list(batches)


def test_closing_ends_the_workers(numbered):
    with load(numbered.Numbered(), 2) as loader:
        next(loader.epoch(0))
        pids = loader.worker_pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_closed_loader_starts_anew(numbered):
    loader = load(numbered.Numbered(), 1)
    before = content(loader.epoch(0))
    loader.close()
    assert content(loader.epoch(0)) == before
    loader.close()


def test_batches_may_be_written_to(numbered):
    with load(numbered.Numbered(), 1) as loader:
        batch = next(loader.epoch(0))
    batch.images[0] = 0
    assert batch.images.flags.aligned


def test_samples_travel_as_they_are(numbered):
    sampler = Sampler(6, 2, shuffle=False, drop_last=False)
    given = numbered.Numbered(6), Pipeline((Normalize(),)), sampler, numbered.as_list
    with Loader(*given, num_workers=1) as loader, Loader(*given) as inline:
        for ours, theirs in zip(loader.epoch(0), inline.epoch(0), strict=True):
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one.image, other.image)
                assert one.image.strides == other.image.strides


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_skipped_sample_is_replaced_by_the_next_in_order(numbered, num_workers):
    dataset = numbered.Faulty(length=400, height=8, width=8, bad=(5,))
    order = Sampler(400, 4, seed=3).order(0).tolist()
    place = order.index(5)
    last_of_batch = place // 4 * 4 + 3
    with load(dataset, num_workers, on_bad_sample="skip") as loader:
        seen = [index for batch in loader.epoch(0) for index in batch.indices]
    assert seen[place] == order[(last_of_batch + 1) % 400]
    assert loader.skipped == {5: "images/0005.png (train.txt line 6): 3 pixels have class 21"}


def test_more_skipped_samples_than_one_percent_are_refused(numbered):
    dataset = numbered.Faulty(length=100, height=8, width=8, bad=(5, 6))
    with load(dataset, 0, on_bad_sample="skip") as loader, pytest.raises(DataError) as caught:
        list(loader.epoch(0))
    assert "2 of 100 samples cannot be read" in str(caught.value)


def test_a_data_set_of_the_main_script_is_refused_in_words(numbered, monkeypatch):
    class Local(numbered.Numbered):
        pass

    monkeypatch.setattr(sys.modules["__main__"], "Local", Local, raising=False)
    Local.__module__, Local.__qualname__ = "__main__", "Local"
    with load(Local(), 1) as loader, pytest.raises(DataError, match=r"train\.num_workers=0"):
        list(loader.epoch(0))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_failed_batch_fails_again_and_is_never_passed_over(numbered, num_workers):
    place = Sampler(12, 4, seed=3).order(0).tolist().index(5) // 4
    with load(numbered.Faulty(12), num_workers) as loader:
        for start in (0, place, place):
            with pytest.raises(LabelError, match=r"images/0005\.png"):
                list(loader.epoch(0, start))


def test_every_sample_of_a_batch_has_randomness_of_its_own(numbered):
    pipeline = Pipeline((numbered.Stamp(),))
    with load(numbered.Numbered(40), 0, pipeline=pipeline) as loader:
        stamps = [image[0, 0, 0] for e in range(2) for b in loader.epoch(e) for image in b.images]
    assert len(set(stamps)) == 80
