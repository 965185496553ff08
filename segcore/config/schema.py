"""Every key of a configuration: its type, range, default and meaning. The one home of these facts.

The descriptions become `segcore config show`, the JSON Schema and the reference page.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from segcore.integer_key import KEY_LIMIT

__all__ = [
    "MOST_IMAGES",
    "MOST_WORKERS",
    "CheckpointConfig",
    "Component",
    "Config",
    "DataConfig",
    "EvalConfig",
    "LossTerm",
    "ModelConfig",
    "OptimizerConfig",
    "ParameterGroup",
    "PredictConfig",
    "ScheduleConfig",
    "Section",
    "Side",
    "SlidingConfig",
    "TrainConfig",
    "WeightsOrigin",
]

SCHEMA_VERSION: Final = 1
MOST_IMAGES: Final = 65536  # in one batch
MOST_WORKERS: Final = 256

Count = Annotated[int, Field(lt=2**63)]
LARGEST_SIDE: Final = 2**31 - 1
"""Of an image, in pixels; where it stands for a limit, there is none."""
Side = Annotated[int, Field(gt=0, le=LARGEST_SIDE)]
Size = Annotated[tuple[Side, Side], Field(strict=False)]
Byte = Annotated[int, Field(ge=0, le=255)]
Colour = Annotated[tuple[Byte, Byte, Byte], Field(strict=False)]
LabelValue = Annotated[int, Field(ge=-KEY_LIMIT, le=KEY_LIMIT)]
ClassMap = Annotated[dict[LabelValue, int], Field(strict=False)]
SplitNames = Annotated[dict[Literal["train", "val", "test"], str], Field(strict=False)]
Channels = Annotated[tuple[float, ...], Field(strict=False, min_length=1)]


class Section(BaseModel):
    """A part of the configuration: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Component(BaseModel):
    """Something that plugins offer, by name: `type`, and the component's own options beside it.

    The options are checked against the component's option model once the catalogue is known.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)

    type: str = Field(description="Name of the component")

    @property
    def options(self) -> dict[str, Any]:
        """The component's own options."""
        return dict(self.model_extra or {})


class LossTerm(Component):
    """A weighted loss; all terms apply to an output of the network, and are added."""

    coef: float = Field(1.0, gt=0, description="Factor of this term in the sum")


class ModelConfig(Section):
    """Which network."""

    name: str = Field(description="Name of the model, as `segcore models` lists it")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the model, as `segcore models` shows them"
    )


class DataConfig(Section):
    """How images and labels are read."""

    path: str | None = Field(None, description="Folder of the dataset")
    format: str | None = Field(None, description="Layout of the dataset; null detects it")
    fold: Count | None = Field(
        None,
        ge=0,
        description="Fold of a cross-validation: 0 reads train_fold0.txt, val_fold0.txt",
    )
    list_files: SplitNames | None = Field(
        None, description="List of images of each split, such as {train: a.txt}; null is train.txt"
    )
    class_file: str | None = Field(None, description="Names of the classes; null is labels.txt")
    annotation_files: SplitNames | None = Field(
        None,
        description="Annotation file of each split, such as {train: a.json}; null: of the layout",
    )
    image_folders: SplitNames | None = Field(
        None, description="Image folder of each split, such as {train: train2017}; null is images"
    )
    keep_unlabelled: bool = Field(
        False, description="Train on images without objects as well (instance datasets)"
    )
    num_classes: int | None = Field(
        None, ge=1, le=65535, description="Number of classes; null counts the lines of labels.txt"
    )
    class_names: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        None, description="Names of the classes in order; null takes labels.txt"
    )
    palette: Annotated[tuple[Colour | None, ...], Field(strict=False)] | None = Field(
        None,
        description="Colours of the classes in drawings, [red, green, blue]; null takes labels.txt",
    )
    ignore_index: int = Field(
        255, ge=0, le=65535, description="Label value that counts neither in losses nor in metrics"
    )
    label_map: ClassMap | None = Field(
        None, description="Replacement of label values on reading, such as {255: 1}"
    )
    channels: int = Field(
        3, ge=1, le=1024, description="Channels of the images: 1 grey, 3 RGB, others as in the file"
    )
    mean: Channels = Field(
        (0.5, 0.5, 0.5), description="Subtracted from images in 0..1, by channel"
    )
    std: Channels = Field((0.5, 0.5, 0.5), description="Divides images after the mean, by channel")
    max_pixels: Count = Field(
        2**28,
        gt=0,
        description="Images with more pixels than this are refused unread",
    )
    value_range: Annotated[tuple[float, float], Field(strict=False)] | None = Field(
        None, description="Lowest and highest value of images deeper than 8 bits"
    )
    accept_truncated_tail: bool = Field(
        False, description="Accept JPEG files that lack only their last bytes"
    )
    first_frame: bool = Field(False, description="Take the first frame of animations and stacks")
    allow_outside: bool = Field(False, description="Accept list entries outside the dataset folder")
    allow_duplicates: bool = Field(False, description="Accept rows that stand twice in a list")
    on_bad_sample: Literal["fail", "skip"] = Field(
        "fail", description="What a sample that cannot be read does during training"
    )
    timeout_s: float = Field(
        120.0, gt=0, description="Seconds after which a silent data worker counts as hung"
    )


class ParameterGroup(Section):
    """Parameters that learn at a pace of their own."""

    name: str = Field(
        min_length=1, description="What the names of these parameters contain, such as norm"
    )
    learning_rate_factor: float = Field(1.0, ge=0, description="Multiplies the learning rate")
    weight_decay_factor: float = Field(1.0, ge=0, description="Multiplies the weight decay")


class OptimizerConfig(Section):
    """How weights follow gradients."""

    type: Literal["momentum", "sgd", "adam", "adamw"] = Field("momentum", description="Rule")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum (momentum only)")
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the first moment (adam, adamw)")
    beta2: float = Field(0.999, ge=0, lt=1, description="Decay of the second moment (adam, adamw)")
    weight_decay: float = Field(
        4e-5, ge=0, description="L2 factor; decoupled from the gradient in adamw"
    )
    clip_norm: float | None = Field(None, gt=0, description="Largest global norm of the gradient")
    groups: Annotated[tuple[ParameterGroup, ...], Field(strict=False)] = Field(
        (), description="Parameters with factors of their own; the first group that fits counts"
    )


class ScheduleConfig(Section):
    """How the learning rate moves."""

    type: Literal["poly", "cosine", "step", "constant"] = Field("poly", description="Curve")
    power: float = Field(0.9, gt=0, description="Exponent (poly)")
    end_lr: float = Field(0.0, ge=0, description="Learning rate at the end (poly, cosine)")
    milestones: Annotated[tuple[int, ...], Field(strict=False)] = Field(
        (), description="Iterations after which the rate is multiplied by gamma (step)"
    )
    gamma: float = Field(0.1, gt=0, description="Factor at each milestone (step)")
    warmup_iters: Count = Field(
        0, ge=0, description="Iterations of linear warm-up before the curve"
    )
    warmup_start_lr: float = Field(0.0, ge=0, description="Learning rate of the first iteration")


class CheckpointConfig(Section):
    """When the state of a training is saved, besides `train.save_interval`."""

    every_minutes: float | None = Field(
        10.0, gt=0, description="Save at least this often; null for intervals only"
    )
    keep: Count = Field(2, ge=1, description="How many of the newest checkpoints stay")


def _default_train_transforms() -> tuple[Component, ...]:
    return (
        Component.model_validate(
            {"type": "ResizeStepScaling", "min_scale_factor": 0.5, "max_scale_factor": 2.0}
        ),
        Component(type="RandomPaddingCrop"),
        Component(type="RandomHorizontalFlip"),
        Component(type="RandomDistort"),
        Component(type="Normalize"),
    )


Components = Annotated[tuple[Component, ...], Field(strict=False)]
LossTerms = Annotated[tuple[LossTerm, ...], Field(strict=False)]


class WeightsOrigin(Section):
    """Which file of weights a training began from."""

    name: str = Field(description="What `pretrained` said")
    address: str = Field(description="Where the file was: a URL or a path")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file")


class TrainConfig(Section):
    """How a network is trained."""

    iters: Count | None = Field(None, ge=1, description="Length in iterations; or give epochs")
    epochs: Count | None = Field(None, ge=1, description="Length in epochs; or give iters")
    batch_size: int = Field(
        4, ge=1, le=MOST_IMAGES, description="Images per iteration on each device"
    )
    learning_rate: float = Field(0.01, gt=0, description="Learning rate after the warm-up")
    crop_size: Size = Field((512, 512), description="Size of training crops: [width, height] in px")
    eval_interval: Count | None = Field(
        None,
        ge=1,
        description="Iterations between evaluations; null is once an epoch",
    )
    save_interval: Count | None = Field(
        None,
        ge=1,
        description="Iterations between checkpoints; null is with every evaluation",
    )
    log_interval: Count = Field(10, ge=1, description="Iterations between lines of metrics.jsonl")
    num_workers: int = Field(
        2, ge=0, le=MOST_WORKERS, description="Processes that read data; 0 reads in the loop"
    )
    seed: int = Field(42, ge=0, lt=2**31, description="Root of all randomness")
    pretrained: str | None = Field(
        None,
        description="Weights to start from: a name such as CITYSCAPES, a file, a run or a URL",
    )
    pretrained_origin: WeightsOrigin | None = Field(
        None, description="Which file `pretrained` was; noted by a training, to be taken again"
    )
    reset_head: bool | Literal["auto"] | Annotated[tuple[str, ...], Field(strict=False)] | None = (
        Field(
            False,
            description="Start anew what hangs on the classes: true all, auto all if their number "
            "differs, [names] or null (new ones) the rows of these, the others going by class name",
        )
    )
    transforms: Components = Field(
        default_factory=_default_train_transforms, description="Augmentations, in order"
    )
    losses: LossTerms = Field(
        (LossTerm(type="CrossEntropyLoss"),),
        description="Terms of the loss, added; empty where networks bring their own",
    )
    output_weights: Annotated[tuple[float, ...], Field(strict=False)] | None = Field(
        None, description="Factor of each output of the network; null is the network's own, or 1"
    )
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Optimiser")
    schedule: ScheduleConfig = Field(ScheduleConfig(), description="Learning-rate schedule")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Decay of an average of the weights kept beside them"
    )
    patience: Count | None = Field(
        None,
        ge=1,
        description="Evaluations without improvement after which training stops",
    )
    min_delta: float = Field(0.0, ge=0, description="Smallest improvement that counts as one")
    observers: Components = Field((), description="What watches the training")

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if self.iters is not None and self.epochs is not None:
            raise ValueError("give iters or epochs, not both")
        return self


class SlidingConfig(Section):
    """Windows that slide over images, for networks that are at their best on one size."""

    crop: Size = Field(description="Size of a window: [width, height] in px")
    stride: Size | None = Field(
        None, description="Distance of neighbours: [across, down] in px; null is without overlap"
    )

    @model_validator(mode="after")
    def _leaves_no_gaps(self) -> SlidingConfig:
        if self.stride is not None and any(map(int.__gt__, self.stride, self.crop)):
            raise ValueError(
                f"stride {list(self.stride)} leaves gaps between windows of {list(self.crop)}: "
                "give at most the size of a window"
            )
        return self


class EvalConfig(Section):
    """How a network is evaluated; predictions use the same transforms."""

    batch_size: int = Field(
        1, ge=1, le=MOST_IMAGES, description="Images at once, where their sizes agree"
    )
    transforms: Components = Field(
        (Component(type="Normalize"),), description="What happens to an image before the network"
    )
    sliding: SlidingConfig | None = Field(
        None, description="Sliding windows {crop, stride}; null takes each image whole"
    )
    metrics: Annotated[tuple[Component, ...], Field(strict=False, min_length=1)] = Field(
        (Component(type="SegmentationMetrics"),), description="What is measured"
    )
    convention: Literal["present", "paddleseg", "paddlex1"] = Field(
        "present", description="What a class absent from labels and predictions counts in mIoU"
    )
    best: str = Field("miou", description="Metric that decides which model is the best")


class PredictConfig(Section):
    """How predictions are made and drawn."""

    target_size: Annotated[tuple[int, int], Field(strict=False)] | int | None = Field(
        None, description="Size of the network's input: [width, height] or one side; -1 original"
    )
    batch_size: int = Field(
        1, ge=1, le=MOST_IMAGES, description="Images at once, where their sizes agree"
    )
    overlay_alpha: float = Field(0.5, ge=0, le=1, description="Opacity of the colours in overlays")
    score_threshold: float = Field(
        0.5, ge=0, le=1, description="Lowest score of the objects in results (instance models)"
    )


class Config(Section):
    """A whole configuration."""

    version: Literal[1] = Field(SCHEMA_VERSION, description="Version of this schema")
    model: ModelConfig
    data: DataConfig = Field(DataConfig(), description="Data")
    train: TrainConfig = Field(default_factory=TrainConfig, description="Training")
    eval: EvalConfig = Field(EvalConfig(), description="Evaluation")
    predict: PredictConfig = Field(PredictConfig(), description="Prediction")
    save: CheckpointConfig = Field(CheckpointConfig(), description="Checkpoints")
