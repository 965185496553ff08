"""Write the files beside this one: `python generate.py TAG`, once for each version of Paddle.

The tags stand for 2.6.2 (p262), 3.1.1 (p311) and 3.3.1 (p331), all with NumPy 2. All versions draw
the same weights from this seed, so that one `truth.npz` serves them all.
"""

import sys
from pathlib import Path

import numpy as np
import paddle

here, tag = Path(__file__).parent, sys.argv[1]
paddle.seed(1)
network = paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.BatchNorm2D(4))
schedule = paddle.optimizer.lr.PolynomialDecay(0.01, 100)
optimizer = paddle.optimizer.Momentum(schedule, parameters=network.parameters())
for _ in range(2):
    network(paddle.ones([1, 3, 4, 4])).mean().backward()
    optimizer.step()
    optimizer.clear_grad()
    schedule.step()
checkpoint = {
    "model": network.state_dict(),
    "opt": optimizer.state_dict(),
    "epoch": 3,
    "score": 0.5,
    "tags": ["a", ("b", 2)],
    "np": np.float64(0.25),
    "empty": paddle.zeros([0, 3]),
    "zero_d": paddle.to_tensor(1.5),
}
for protocol in (2, 3, 4):
    stem = f"{here}/{tag}-p{protocol}"
    paddle.save(network.state_dict(), f"{stem}.pdparams", protocol=protocol)
    paddle.save(optimizer.state_dict(), f"{stem}.pdopt", protocol=protocol)
    paddle.save(checkpoint, f"{stem}.pdstates", protocol=protocol)
bfloat16 = paddle.to_tensor([1.0, -2.5, 3.0e38]).astype("bfloat16")
paddle.save({"w": bfloat16}, f"{here}/{tag}-bf16.pdparams")
if tag == "p331":
    np.savez(here / "truth.npz", **{k: v.numpy() for k, v in network.state_dict().items()})
