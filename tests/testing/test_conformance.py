"""The conformance kit passes good networks and notices each kind of bad one."""

import paddle
import pytest
from paddle import nn

from segcore.testing import conformance
from segcore.testing.conformance import Subject, conformance_checks, run_checks


class Good(nn.Layer):
    """Three layers that do what a network should."""

    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2D(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2D(8)
        self.head = nn.Conv2D(8, num_classes, 1)

    def forward(self, images):
        return [self.head(nn.functional.relu(self.bn(self.conv(images))))]


class WrongSize(Good):
    def forward(self, images):
        return [nn.functional.avg_pool2d(y, 2) for y in super().forward(images)]


class DropsInEval(Good):
    def forward(self, images):
        return [nn.functional.dropout(y, 0.5) for y in super().forward(images)]


class NormalisesByBatch(Good):
    def forward(self, images):
        return [y - y.mean() for y in super().forward(images)]


class HasIdleParameter(Good):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.idle = nn.Linear(2, 2)


class KeepsStateOutside(Good):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.shift = float(paddle.rand([1]))

    def forward(self, images):
        return [y + self.shift for y in super().forward(images)]


class LearnsNothing(Good):
    def forward(self, images):
        return [y * 0.0 for y in super().forward(images)]


class AnswersOtherwiseInGraphs(Good):
    def forward(self, images):
        logits = self.head(nn.functional.relu(self.bn(self.conv(images))))
        return [logits if paddle.in_dynamic_mode() else logits + 1.0]


class BlowsUp(Good):
    def forward(self, images):
        return [y / paddle.zeros([1]) for y in super().forward(images)]


class GivesMappingInTraining(Good):
    def forward(self, images):
        logits = super().forward(images)
        return {"logits": logits[0]} if self.training else logits


@pytest.fixture
def report(monkeypatch):
    """Run the kit on a class as if a plugin offered it."""

    def run(network, **options):
        monkeypatch.setattr(conformance, "build_model", lambda _, num_classes: network(num_classes))
        return run_checks(Subject("Net", sizes=((16, 16), (9, 13)), **options))

    return run


def test_a_good_network_passes_every_check(report):
    outcome = report(Good, outputs=1)
    assert outcome.problems == []
    assert outcome.count == 12


@pytest.mark.parametrize(
    ("network", "check"),
    [
        (WrongSize, "gives_logits_in_the_size_of_the_images"),
        (DropsInEval, "repeats_itself"),
        (NormalisesByBatch, "treats_each_image_by_itself"),
        (HasIdleParameter, "reaches_every_parameter_with_a_gradient"),
        (KeepsStateOutside, "comes_back_from_its_state_dict"),
        (AnswersOtherwiseInGraphs, "traces_to_a_graph_for_any_size"),
        (LearnsNothing, "learns_one_batch"),
        (BlowsUp, "has_finite_gradients"),
    ],
)
def test_each_fault_is_noticed_by_its_check(report, network, check):
    assert report(network).results[check] is not None


def test_a_wrong_number_of_outputs_is_noticed(report):
    outcome = report(Good, outputs=3)
    assert len(outcome.problems) == 1
    assert "1 outputs in training, not 3" in outcome.problems[0]


def test_outputs_that_are_no_logits_come_with_a_loss_of_their_own(report):
    def loss(outputs, labels):
        return nn.functional.cross_entropy(outputs["logits"], labels.unsqueeze(1), axis=1)

    assert report(GivesMappingInTraining, outputs=1, loss=loss).problems == []


def test_declared_parameters_may_go_without_gradient(report):
    assert report(HasIdleParameter, without_gradient=("idle.*",)).problems == []


def test_a_network_that_raises_is_a_problem_and_not_the_end(report):
    class Raises(Good):
        def forward(self, images):
            raise RuntimeError("no forward today")

    outcome = report(Raises)
    assert outcome.count == 12
    assert any("no forward today" in problem for problem in outcome.problems)


def test_checks_are_named_for_pytest():
    assert len({str(check) for check in conformance_checks(Subject("Net"))}) == 12
