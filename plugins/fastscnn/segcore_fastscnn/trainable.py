"""Fast-SCNN as an object that trains and predicts, with the constructor of PaddleX 1.x."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.trainable import DefaultWeights, SemanticModel, loss_settings, with_defaults

__all__ = ["FastSCNN"]


class FastSCNN(SemanticModel):
    """Fast-SCNN; `multi_loss_weight` weighs the losses of one, two or three branches.

    The branches are the fused features, the detail and the context; the published weights have the
    first two. See `segcore.trainable.SemanticModel` for the methods, and `loss_settings` for the
    losses. Raises ConfigError.
    """

    train = with_defaults(SemanticModel.train, pretrain_weights=DefaultWeights("CITYSCAPES"))

    def __init__(
        self,
        num_classes: int = 2,
        use_bce_loss: bool = False,
        use_dice_loss: bool = False,
        class_weight: Sequence[float] | str | None = None,
        ignore_index: int = 255,
        multi_loss_weight: Sequence[float] = [1.0],
        input_channel: int = 3,
    ) -> None:
        settings = loss_settings(
            num_classes,
            use_bce_loss=use_bce_loss,
            use_dice_loss=use_dice_loss,
            class_weight=class_weight,
            ignore_index=ignore_index,
            input_channel=input_channel,
        )
        options = {"multi_loss_weight": list(multi_loss_weight)}
        super().__init__("FastSCNN", num_classes, {**settings, "model.options": options})
