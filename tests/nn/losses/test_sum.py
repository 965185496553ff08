"""Weighted sums of losses over the outputs of a network."""

import numpy as np
import paddle
import pytest

from segcore.config.schema import Config
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import ConfigError, UnknownNameError
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.nn.losses.dice import DiceLoss
from segcore.nn.losses.sum import SumOfLosses, Term


@pytest.fixture
def outputs():
    generator = np.random.default_rng(0)
    return [paddle.to_tensor(generator.random((1, 3, 4, 4), np.float32)) for _ in range(2)]


@pytest.fixture
def labels():
    return paddle.to_tensor(np.random.default_rng(1).integers(0, 3, (1, 4, 4)))


def from_train(**train):
    config = Config.model_validate({"model": {"name": "any"}, "train": train})
    return SumOfLosses.from_config(config, get_catalogue())


def test_terms_and_outputs_are_weighted_and_added(outputs, labels):
    total = SumOfLosses(
        [Term("CE", CrossEntropyLoss(), 2.0), Term("Dice", DiceLoss(), 0.5)], [1.0, 0.4]
    )(outputs, labels)
    ce = [float(CrossEntropyLoss()(output, labels)) for output in outputs]
    dice = [float(DiceLoss()(output, labels)) for output in outputs]
    assert float(total["CE"]) == pytest.approx(2.0 * (ce[0] + 0.4 * ce[1]))
    assert float(total["Dice"]) == pytest.approx(0.5 * (dice[0] + 0.4 * dice[1]))
    assert float(total["loss"]) == pytest.approx(float(total["CE"]) + float(total["Dice"]))


def test_a_single_term_is_not_repeated(outputs, labels):
    assert set(SumOfLosses([Term("CE", CrossEntropyLoss())])(outputs, labels)) == {"loss"}


def test_a_bare_tensor_is_one_output(outputs, labels):
    total = SumOfLosses([Term("CE", CrossEntropyLoss())])(outputs[0], labels)["loss"]
    assert float(total) == float(CrossEntropyLoss()(outputs[0], labels))


def test_terms_of_one_name_are_told_apart(outputs, labels):
    twice = [Term("CE", CrossEntropyLoss()), Term("CE", CrossEntropyLoss(weight="dynamic"))]
    assert set(SumOfLosses(twice)(outputs, labels)) == {"loss", "CE", "CE_2"}


def test_output_weights_must_fit_the_network(outputs, labels):
    total = SumOfLosses([Term("CE", CrossEntropyLoss())], [1.0, 0.4, 0.4])
    with pytest.raises(ConfigError, match=r"3 values .* 2 outputs"):
        total(outputs, labels)


def test_a_network_may_weigh_its_outputs_itself(outputs, labels):
    total = SumOfLosses([Term("CE", CrossEntropyLoss())])(outputs, labels, (1.0, 0.25))["loss"]
    first, second = (float(CrossEntropyLoss()(output, labels)) for output in outputs)
    assert float(total) == pytest.approx(first + 0.25 * second)


def test_configured_weights_win_over_those_of_the_network(outputs, labels):
    total = SumOfLosses([Term("CE", CrossEntropyLoss())], [0.0, 1.0])(outputs, labels, (1.0, 0.25))
    assert float(total["loss"]) == float(CrossEntropyLoss()(outputs[1], labels))


def test_an_output_of_weight_zero_is_left_out(outputs, labels):
    total = SumOfLosses([Term("CE", CrossEntropyLoss())], [0.0, 1.0])(outputs, labels)["loss"]
    assert float(total) == float(CrossEntropyLoss()(outputs[1], labels))


def test_a_configuration_names_losses_and_their_options():
    total = from_train(
        losses=[
            {"type": "OhemCrossEntropyLoss", "min_kept": 7, "weight": [1, 2], "coef": 0.5},
            {"type": "dice-loss", "smooth": 0.5, "ignore_index": 9},
        ],
        output_weights=[1.0, 0.4],
    )
    ohem, dice = total.losses
    assert (ohem.min_kept, ohem.weight, ohem.ignore_index) == (7, (1.0, 2.0), 255)
    assert [term.coef for term in total.terms] == [0.5, 1.0]
    assert (dice.smooth, dice.ignore_index) == (0.5, 9)
    assert total.output_weights == (1.0, 0.4)


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="min_kept"):
        from_train(losses=[{"type": "OhemCrossEntropyLoss", "min_keep": 7}])


def test_an_unknown_loss_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="DiceLoss"):
        from_train(losses=[{"type": "DiceLos"}])
