"""Optimisers give groups of parameters their own pace, and come back from their state."""

import numpy as np
import pytest
from paddle import nn

from segcore.config.schema import OptimizerConfig
from segcore.engine.optimizer import create_optimizer, optimizer_arrays, restore_optimizer
from segcore.errors import ConfigError

GROUPS = [
    {"name": "head", "learning_rate_factor": 10.0},
    {"name": "norm", "weight_decay_factor": 0.0},
]


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(2, 2, bias_attr=False)
        self.norm = nn.Linear(2, 2, bias_attr=False)
        self.head = nn.Linear(2, 2, bias_attr=False)
        for parameter in self.parameters():
            parameter.set_value(np.full([2, 2], 2.0, np.float32))


def create(network, kind, **options):
    options = {"type": kind, "weight_decay": 0.25, **options}
    return create_optimizer(OptimizerConfig.model_validate(options), network, 0.5)


def step(network, optimizer, gradient=0.0):
    for parameter in network.parameters():
        (parameter * gradient).sum().backward()
    optimizer.set_lr(0.1)
    optimizer.step()
    optimizer.clear_grad()
    return {key: float(p.numpy()[0, 0]) for key, p in network.named_parameters()}


@pytest.mark.parametrize("kind", ["momentum", "sgd", "adamw"])
def test_groups_have_factors_of_their_own(kind):
    network = Net()
    moved = step(network, create(network, kind, groups=GROUPS))
    # without a gradient of the loss, decay alone moves: 2 * 0.25 * learning rate
    assert moved["body.weight"] == pytest.approx(2 - 0.1 * 0.5)
    assert moved["head.weight"] == pytest.approx(2 - 1.0 * 0.5)
    assert moved["norm.weight"] == 2


def test_the_first_group_that_fits_counts():
    network = Net()
    groups = [{"name": "weight", "learning_rate_factor": 0.0}, {"name": "head"}]
    with pytest.raises(ConfigError, match=r"groups\.1.*'head'"):
        create(network, "sgd", groups=groups)
    assert set(step(network, create(network, "sgd", groups=groups[:1])).values()) == {2.0}


def test_gradients_of_all_groups_are_clipped_together():
    network = Net()
    optimizer = create(network, "sgd", groups=GROUPS, weight_decay=0.0, clip_norm=1.0)
    moved = step(network, optimizer, gradient=100.0)
    # 12 equal gradients of norm 1
    assert moved["body.weight"] == pytest.approx(2 - 0.1 / 12**0.5)
    assert moved["head.weight"] == pytest.approx(2 - 1.0 / 12**0.5)


def test_the_state_of_groups_comes_back():
    network, other = Net(), Net()
    optimizer = create(network, "adamw", groups=GROUPS)
    step(network, optimizer, gradient=1.0)
    again = create(other, "adamw", groups=GROUPS)
    other.set_state_dict(network.state_dict())
    restore_optimizer(again, other, optimizer_arrays(optimizer, network))
    assert step(network, optimizer, -3.0) == step(other, again, -3.0)
