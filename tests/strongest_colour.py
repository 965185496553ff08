"""The model Strongest-Colour, which needs no training: it finds the strongest colour of each pixel.

What it must answer is known without it: `image.argmax(axis=2)`.
"""

import numpy as np

PLUGIN = """
from segcore.plugin import ModelSpec, hookimpl

@hookimpl
def segcore_models():
    return [ModelSpec(name="Strongest-Colour", target="strongest_colour_network:Network")]
"""

NETWORK = """
import paddle
from paddle import nn


class Network(nn.Layer):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2D(3, num_classes, 1, bias_attr=False)

    def forward(self, images):
        return [self.conv(images)]
"""


def install(site):
    """Install the plugin of the model in `site`."""
    site.install("strongest_colour", PLUGIN)
    site.write(site.folder / "strongest_colour_network.py", NETWORK)


def write_run(run, catalogue):
    """Write a run folder as training leaves it; the classes are red, green and blue."""
    from segcore.checkpoint import pdparams
    from segcore.checkpoint.files import write_atomic
    from segcore.checkpoint.store import CheckpointStore
    from segcore.config.render import render_config
    from segcore.config.schema import Config
    from segcore.config.seal import seal
    from segcore.export.write import write_export
    from segcore.inference.eager import create_task

    settings = {"model": {"name": "Strongest-Colour"}, "data": {"num_classes": 3}}
    config = Config.model_validate(settings)
    network = catalogue.build_model(catalogue.models.find("Strongest-Colour"), 3)
    network.conv.weight.set_value(np.eye(3, dtype=np.float32)[:, :, None, None])
    run.mkdir(parents=True)
    write_atomic(run / "config.yaml", seal(render_config(config)).encode())
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    CheckpointStore(run, "0" * 16).promote(1, {"model.pdparams": pdparams.encode(weights)})
    task = create_task(config, ("red", "green", "blue"))
    write_export(network, task, run / "best_model" / "inference")
