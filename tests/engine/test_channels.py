"""The network, the mean and the deviation follow the number of channels that images have."""

import pytest

from segcore.data.dataset import open_dataset
from segcore.engine.train import complete_config
from segcore.errors import ConfigError


@pytest.fixture
def complete(configure, toys):
    """Give what completes a configuration from settings, for a model that takes `in_channels`."""
    from pydantic import BaseModel, ConfigDict

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        in_channels: int = 3

    def make(*overrides, options=Options, chosen=None):
        from dataclasses import replace

        entry = toys.models.find("Toy")
        entry = replace(entry, spec=replace(entry.spec, options=options))
        config = configure(*overrides)
        config = config.model_copy(
            update={"model": config.model.model_copy(update={"options": chosen or {}})}
        )
        return complete_config(config, entry, open_dataset(config, "train", toys))

    return make


def test_three_channels_change_nothing(complete):
    assert complete().model.options == {}


@pytest.mark.parametrize("channels", [1, 4])
def test_the_network_is_built_for_the_channels_of_the_images(complete, channels):
    config = complete(f"data.channels={channels}")
    assert config.model.options == {"in_channels": channels}
    assert config.data.mean == config.data.std == (0.5,) * channels


def test_means_of_other_channels_are_refused(complete):
    with pytest.raises(ConfigError, match=r"data\.mean has 3 values, but data\.channels=4"):
        complete("data.channels=4", "data.mean=[0.1, 0.2, 0.3]")


def test_an_option_that_says_otherwise_is_refused(complete):
    with pytest.raises(ConfigError, match=r"in_channels=5, but data\.channels=4"):
        complete("data.channels=4", chosen={"in_channels": 5})


def test_a_network_for_rgb_alone_is_refused(complete):
    with pytest.raises(ConfigError, match="Toy takes images of 3 channels only"):
        complete("data.channels=4", options=None)
