"""The order of samples: reproducible, complete, resumable, and never empty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.data.sampler import Sampler
from segcore.errors import DataError


def indices(sampler, epoch, start=0):
    return [batch.tolist() for batch in sampler.batches(epoch, start)]


def test_the_order_depends_on_seed_and_epoch_alone():
    assert indices(Sampler(50, 4, seed=1), 3) == indices(Sampler(50, 4, seed=1), 3)
    assert indices(Sampler(50, 4, seed=1), 3) != indices(Sampler(50, 4, seed=1), 4)
    assert indices(Sampler(50, 4, seed=1), 3) != indices(Sampler(50, 4, seed=2), 3)


def test_drawing_elsewhere_does_not_move_the_order():
    before = indices(Sampler(50, 4), 0)
    np.random.default_rng().random(10)
    assert indices(Sampler(50, 4), 0) == before


@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 3), st.integers(0, 5))
def test_ranks_share_an_epoch_without_overlap_or_gap(length, batch_size, world, epoch):
    if length < batch_size * world:
        return
    steps = length // (batch_size * world)
    ranks = [Sampler(length, batch_size, rank=rank, world=world) for rank in range(world)]
    seen = [index for sampler in ranks for batch in indices(sampler, epoch) for index in batch]
    assert all(len(indices(sampler, epoch)) == steps for sampler in ranks)
    assert len(set(seen)) == len(seen) == steps * batch_size * world


def test_two_ranks_see_together_what_one_device_would():
    alone = indices(Sampler(40, 8, seed=5), 2)
    left, right = (indices(Sampler(40, 4, seed=5, rank=rank, world=2), 2) for rank in range(2))
    assert [[*a, *b] for a, b in zip(left, right, strict=True)] == alone


@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 3))
def test_without_drop_last_every_sample_comes_once(length, batch_size, world):
    seen = []
    for rank in range(min(world, length)):
        sampler = Sampler(length, batch_size, drop_last=False, rank=rank, world=world)
        batches = indices(sampler, 0)
        assert len(batches) == sampler.batches_per_epoch
        seen += [index for batch in batches for index in batch]
    assert sorted(seen) == list(range(length))


def test_without_shuffle_samples_come_in_the_order_of_the_list():
    assert indices(Sampler(5, 2, shuffle=False, drop_last=False), 9) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("start", [0, 1, 5, 12])
def test_an_epoch_goes_on_from_any_batch(start):
    sampler = Sampler(50, 4, seed=7)
    assert indices(sampler, 1, start) == indices(sampler, 1)[start:]


def test_the_position_follows_from_the_number_of_steps():
    sampler = Sampler(50, 4)
    assert [sampler.position(step) for step in (0, 11, 12, 25)] == [(0, 0), (0, 11), (1, 0), (2, 1)]


def test_a_start_beyond_the_epoch_is_refused():
    with pytest.raises(DataError, match=r"batch 13 of epoch 0 does not exist.*50 samples.*12"):
        indices(Sampler(50, 4), 0, 13)


def test_an_empty_list_is_refused():
    with pytest.raises(DataError, match="empty"):
        Sampler(0, 4)


def test_fewer_samples_than_a_batch_are_refused_with_the_arithmetic():
    with pytest.raises(DataError, match=r"3 samples .* 4 samples x 1 devices = 4.*3 // 4 = 0"):
        Sampler(3, 4)
    with pytest.raises(DataError, match=r"train\.batch_size to at most 3"):
        Sampler(7, 4, world=2)
    with pytest.raises(DataError, match="at most 1 devices"):
        Sampler(1, 1, world=2)
