"""A plugin with a network that trains in milliseconds: one convolution, batch norm, dropout."""

PLUGIN = """
import os

from segcore.plugin import LossSpec, MetricSpec, ModelSpec, ObserverSpec, WeightsSpec, hookimpl

SERVER = os.environ.get("TOY_SERVER", "https://toys.example")

@hookimpl
def segcore_models():
    known = WeightsSpec(trained_on="TOY_TOWN", url=SERVER + "/toy.pdparams", num_classes=4)
    backbone = WeightsSpec(
        trained_on="IMAGENET", url=SERVER + "/backbone.tar.gz", part="backbone"
    )
    return [
        ModelSpec(name="Toy", target="toy_network:Toy", weights=(known,)),
        ModelSpec(name="Backed", target="toy_network:Backed", weights=(backbone,)),
    ]

@hookimpl
def segcore_losses():
    return [
        LossSpec(name="SpoiltLoss", target="toy_network:SpoiltLoss"),
        LossSpec(name="GreedyLoss", target="toy_network:GreedyLoss"),
    ]

@hookimpl
def segcore_metrics():
    return [MetricSpec(name="FailingMetric", target="toy_network:FailingMetric")]

@hookimpl
def segcore_observers():
    return [
        ObserverSpec(name="Failing", target="toy_network:FailingObserver"),
        ObserverSpec(name="Signalling", target="toy_network:SignallingObserver"),
    ]
"""

NETWORK = '''
import os
import signal

import numpy as np
import paddle
from paddle import nn

from segcore.plugin import Observer


class Toy(nn.Layer):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2D(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2D(8)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Conv2D(8, num_classes, 1)

    def forward(self, images):
        return [self.head(self.dropout(nn.functional.relu(self.bn(self.conv(images)))))]


class Backed(nn.Layer):
    """Stands on a backbone of two layers."""

    def __init__(self, num_classes):
        super().__init__()
        self.backbone = nn.Sequential(
            ("stage_1", nn.Conv2D(3, 8, 3, padding=1)), ("norm", nn.BatchNorm2D(8))
        )
        self.head = nn.Conv2D(8, num_classes, 1)

    def forward(self, images):
        return [self.head(self.backbone(images))]


class SpoiltLoss(nn.Layer):
    """Cross entropy that becomes NaN at the step SPOILT_STEP (1 is the first)."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, logits, labels):
        self.calls += 1
        loss = nn.functional.cross_entropy(logits, labels, axis=1, ignore_index=255)
        return loss * float("nan") if self.calls == int(os.environ["SPOILT_STEP"]) else loss


class GreedyLoss(nn.Layer):
    """Cross entropy that asks for a pebibyte at the step GREEDY_STEP, of GREEDY_OF."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, logits, labels):
        self.calls += 1
        if self.calls == int(os.environ["GREEDY_STEP"]):
            if os.environ["GREEDY_OF"] == "paddle":
                paddle.zeros([1 << 48])
            np.ones(1 << 48)
        return nn.functional.cross_entropy(logits, labels, axis=1, ignore_index=255)


class FailingMetric:
    def __init__(self, **facts):
        pass

    def update(self, prediction, label):
        raise RuntimeError("this metric always fails")

    def compute(self):
        return {}


class FailingObserver(Observer):
    def logged(self, record):
        raise RuntimeError("the tracker is unreachable")


class SignallingObserver(Observer):
    """Sends SIGNAL to this process at the steps that SIGNAL_STEPS lists."""

    def logged(self, record):
        if str(record["step"]) in os.environ.get("SIGNAL_STEPS", "").split(","):
            os.kill(os.getpid(), getattr(signal, os.environ.get("SIGNAL", "SIGTERM")))
'''
