"""What a backbone is: the contract between feature extractors and the heads on top of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from paddle import nn

from segcore.errors import ConfigError

__all__ = ["Backbone"]


class Backbone(nn.Layer):
    """Extract feature maps of falling resolution from images.

    A subclass sets, before or in its constructor:

    * `in_channels`: channels of the images;
    * `feature_channels`: channels of each feature map, in the order of `forward`'s list;
    * `feature_strides`: by how much each one is smaller than the image; a map of stride s has
      ceil(H / s) x ceil(W / s) pixels.

    Heads choose features by index and read their channels here, so that any backbone goes with
    any head.
    """

    in_channels: int
    feature_channels: tuple[int, ...]
    feature_strides: tuple[int, ...]

    @abstractmethod
    def forward(self, images: Any) -> list[Any]:
        """Map images (N, in_channels, H, W) to features, finest first."""
        raise NotImplementedError

    def channels_at(self, indices: Sequence[int]) -> list[int]:
        """Give the channels of the features that a head chooses; negative indices count back.

        Raises ConfigError for an index beyond the last feature, or before the first.
        """
        count = len(self.feature_channels)
        if max(indices) >= count or min(indices) < -count:
            raise ConfigError(
                f"backbone_indices {list(indices)}: the backbone {type(self).__name__} has {count} "
                f"features, numbered 0 to {count - 1}. Choose among them, or another backbone."
            )
        return [self.feature_channels[index] for index in indices]
