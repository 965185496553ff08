"""Learning-rate schedules: the rate of an iteration as a pure function of its number.

A training asks `Schedule.at(iteration)` before every step, so a resumed run needs no saved
scheduler: iteration `k` has the same rate whichever way it was reached.

Warm-up is linear (Goyal et al., "Accurate, Large Minibatch SGD", 2017). Poly is the curve of
DeepLab (Chen et al., 2018), cosine that of SGDR without restarts (Loshchilov and Hutter, 2017).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from segcore.config.schema import ScheduleConfig

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Give the learning rate of each iteration of a training of `iters` iterations.

    `learning_rate` is the rate that the curve starts from, right after the warm-up. Poly and
    cosine run over the iterations that the warm-up leaves, and reach `end_lr` where iteration
    `iters` would be; milestones count from the start of the training, warm-up included.
    """

    config: ScheduleConfig
    learning_rate: float
    iters: int

    @property
    def is_warmup_cut_short(self) -> bool:
        """Whether the training ends before its learning rate is fully warmed up."""
        return self.config.warmup_iters >= self.iters

    def at(self, iteration: int) -> float:
        """Give the rate of `iteration`, counted from 0; after the last one it stays put.

        Raises ValueError when `iteration` is negative.
        """
        if iteration < 0:
            raise ValueError(f"iteration {iteration}: iterations count from 0")
        config = self.config
        if iteration < config.warmup_iters:
            start = config.warmup_start_lr
            return (self.learning_rate - start) * iteration / config.warmup_iters + start
        if config.type == "constant":
            return self.learning_rate
        if config.type == "step":
            # sorted: the order in which somebody listed them means nothing
            passed = bisect_right(sorted(config.milestones), iteration)
            return float(self.learning_rate * config.gamma**passed)
        return config.end_lr + (self.learning_rate - config.end_lr) * self._remaining(iteration)

    def _remaining(self, iteration: int) -> float:
        """Give the share of the way from `end_lr` to `learning_rate` left, 1 down to 0."""
        # A warm-up as long as the training leaves the curve no iterations; it is then never seen.
        length = max(self.iters - self.config.warmup_iters, 1)
        done = min((iteration - self.config.warmup_iters) / length, 1.0)
        if self.config.type == "cosine":
            return (1 + math.cos(math.pi * done)) / 2
        return float((1 - done) ** self.config.power)
