import json
from pathlib import Path

import pytest

from segcore.config.schema import ScheduleConfig
from segcore.engine.schedule import Schedule

REFERENCE = json.loads((Path(__file__).parent / "data" / "learning_rate.json").read_text())
OPTIONS = ("warmup_iters", "warmup_start_lr", "end_lr", "power")


def schedule(rate=0.1, iters=100, **options):
    return Schedule(ScheduleConfig(**options), rate, iters)


@pytest.mark.parametrize("case", REFERENCE.values(), ids=REFERENCE)
def test_poly_gives_the_rates_of_the_reference(case):
    options = {key: case[key] for key in OPTIONS if key in case}
    curve = schedule(case["learning_rate"], case["iters"], **options)
    rates = [curve.at(i) for i in range(len(case["values"]))]
    # the same formula in another order of operations: a few units in the last place
    assert rates == pytest.approx(case["values"], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("kind", ["poly", "cosine"])
def test_curves_start_at_the_rate_and_end_at_end_lr(kind):
    curve = schedule(type=kind, end_lr=0.02, warmup_iters=10)
    assert curve.at(10) == pytest.approx(0.1, rel=1e-15)
    assert curve.at(100) == 0.02
    assert curve.at(100_000) == 0.02


def test_cosine_is_half_way_in_the_middle():
    assert schedule(type="cosine", end_lr=0.02).at(50) == pytest.approx(0.06)


def test_cosine_follows_its_closed_form_at_a_quarter():
    assert schedule(type="cosine").at(25) == pytest.approx(0.1 * (1 + 2**-0.5) / 2)


def test_milestones_multiply_the_rate_from_their_iteration_on():
    curve = schedule(type="step", milestones=(60, 30), gamma=0.5)
    assert [curve.at(i) for i in (29, 30, 59, 60)] == [0.1, 0.05, 0.05, 0.025]


def test_constant_stays_after_its_warmup():
    curve = schedule(type="constant", warmup_iters=4, warmup_start_lr=0.02)
    assert [curve.at(i) for i in (0, 2, 4, 99)] == pytest.approx([0.02, 0.06, 0.1, 0.1])


def test_a_warmup_longer_than_the_training_is_said_and_stays_linear():
    curve = schedule(iters=10, warmup_iters=20)
    assert curve.is_warmup_cut_short
    assert curve.at(5) == pytest.approx(0.025)


def test_a_warmup_within_the_training_is_not_cut_short():
    assert not schedule(iters=21, warmup_iters=20).is_warmup_cut_short


def test_a_negative_iteration_is_refused():
    with pytest.raises(ValueError, match="count from 0"):
        schedule().at(-1)
