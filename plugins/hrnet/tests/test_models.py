"""Every model of the plugin computes what PaddleSeg's does, as far as that is known."""

from pathlib import Path

import pytest

from segcore import build_model
from segcore.nn.losses.cross_entropy import CrossEntropyLoss
from segcore.testing.parity import Reference, check_layout, check_outputs, check_training
from segcore_hrnet.plugin import segcore_models

DATA = Path(__file__).parent / "data"
SPECS = {spec.name: spec for spec in segcore_models()}
LARGE = ("HRNet-FCN-W60", "HRNet-FCN-W64")  # a hundred million parameters and more


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in SPECS],
)
def model(request):
    """A network and what the reference says of it."""
    return build_model(request.param, num_classes=19), Reference.read(DATA, request.param)


def test_the_state_dict_is_that_of_the_published_weights(model):
    check_layout(*model)


@pytest.mark.parity
def test_logits_are_those_of_the_reference(model):
    network, reference = model
    if not reference.outputs:
        pytest.skip("the reference knows the layout of this width only")
    assert len(check_outputs(network, reference)) == 6


def test_the_spec_counts_the_parameters_right(model):
    network, reference = model
    # running statistics are parameters to Paddle, but do not learn
    trainable = sum(p.size for p in network.parameters() if not p.stop_gradient)
    assert SPECS[reference.name].parameters == trainable


@pytest.mark.parity
def test_a_training_step_of_ocrnet_is_that_of_the_reference():
    loss = CrossEntropyLoss()
    check_training(
        build_model("OCRNet_HRNet-W18", num_classes=19),
        Reference.read(DATA, "OCRNet_HRNet-W18"),
        "ce",
        lambda outputs, labels: [
            weight * loss(output, labels)
            for weight, output in zip((1.0, 0.4), outputs, strict=True)
        ],
    )
