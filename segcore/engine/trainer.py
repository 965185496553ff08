"""The training loop.

It holds four rules. What a step does depends on the configuration, the data and the number of the
step alone, so a resumed training repeats an uninterrupted one bit for bit. The state is saved
before it is evaluated, and an evaluation only promotes a model that is already safe. Nothing that
is not finite is ever saved. A signal ends the loop between two steps, with the state saved.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from paddle import nn
from tqdm import tqdm

from segcore.checkpoint import pdparams
from segcore.data.tally import Tally
from segcore.engine.batch_norm import single_values_normalised
from segcore.engine.best import BestModel
from segcore.engine.ema import WeightAverage
from segcore.engine.evaluate import evaluate
from segcore.engine.optimizer import create_optimizer
from segcore.engine.schedule import Schedule
from segcore.engine.signals import StopRequested, StopSignals
from segcore.engine.snapshot import (
    decode_weights,
    put_back,
    set_weights,
    take_snapshot,
)
from segcore.engine.state import STATE, TrainState
from segcore.errors import ConfigError, DivergedError, ExhaustedError

if TYPE_CHECKING:
    from segcore.checkpoint.lock import RunLock
    from segcore.checkpoint.store import CheckpointStore
    from segcore.config.schema import Config, TrainConfig
    from segcore.data.loader import Loader
    from segcore.engine.history import History
    from segcore.engine.observers import ObserverGroup
    from segcore.tasks.sample import Sample
    from segcore.tasks.task import Task

__all__ = ["Intervals", "Trainer"]

log = logging.getLogger(__name__)

STATES = "model.pdstates"


@dataclass(frozen=True)
class Intervals:
    """Lengths in iterations: of the training, of an epoch, and between recurring events."""

    total: int
    epoch: int
    evaluate: int
    save: int
    log: int

    @classmethod
    def of(cls, config: Config, steps_per_epoch: int) -> Intervals:
        """Count what `config` says in iterations. Raises ConfigError when it gives no length."""
        train = config.train
        if train.iters is None and train.epochs is None:
            raise ConfigError(
                "the length of the training is not given: set train.iters or train.epochs"
            )
        every = train.eval_interval or steps_per_epoch
        return cls(
            total=train.iters or (train.epochs or 0) * steps_per_epoch,
            epoch=steps_per_epoch,
            evaluate=every,
            save=train.save_interval or every,
            log=train.log_interval,
        )


class Trainer:
    """Train `network` for `task` as `config` says, from the beginning or from a snapshot.

    `train_batches` gives training batches, `eval_batches` a new pass over the evaluation samples
    each time it is called, or is None where nothing is to be measured; `store` keeps snapshots and
    the best model, while `lock` is held.
    """

    def __init__(
        self,
        config: Config,
        task: Task,
        network: nn.Layer,
        *,
        train_batches: Loader,
        eval_batches: Callable[[], Iterable[Sequence[Sample]]] | None,
        intervals: Intervals,
        store: CheckpointStore,
        lock: RunLock,
        history: History,
        observers: ObserverGroup,
    ) -> None:
        self.config = config
        self.task = task
        self.network = network
        self.train_batches = train_batches
        self.eval_batches = eval_batches
        self.intervals = intervals
        self.store = store
        self.lock = lock
        self.history = history
        self.observers = observers
        train = config.train
        self.schedule = _fitting_schedule(train, intervals.total)
        self.optimizer = create_optimizer(train.optimizer, network, train.learning_rate)
        decay = train.ema_decay
        self.average = None if decay is None else WeightAverage(network, decay)
        self.state = TrainState()
        self.tally = Tally()
        self.signals = StopSignals()
        self.best: BestModel | None = None
        self._best_to_measure: Mapping[str, bytes] | None = None
        self._saved_step: int | None = None
        self._saved_at = time.monotonic()
        self._logged_at = time.monotonic()

    def start(self, identity: Mapping[str, Any]) -> None:
        """Begin at step 0, and save that: from here on there is something to go on from.

        `identity` says which training this is.
        """
        self.state = TrainState(identity=dict(identity))
        self._save()

    def resume(self, snapshot: Mapping[str, bytes], best: BestModel | None) -> None:
        """Go on from `snapshot`, with the best model `best` on the disk; nothing there changes.

        Raises CheckpointError when it does not fit.
        """
        self.state = put_back(snapshot, self.network, self.optimizer, self.average)
        self._saved_step = self.state.step
        self.best = best

    def take_on_best(self, files: Mapping[str, bytes] | None) -> None:
        """Let the best model on the disk count, whatever the snapshot says of it.

        Its `files` are given where its score is of another time and must be measured again.
        """
        self.state.best_step = None if self.best is None else self.best.step
        self.state.best_score = None if self.best is None else self.best.score
        self.state.evaluations_without_gain = 0
        self._best_to_measure = files if self.best is not None else None

    def run(self) -> TrainState:
        """Train to the end and give the final state.

        Raises DivergedError, ExhaustedError, StorageError, WorkerError, DataError, and Interrupted
        when a signal asked to stop; whatever it is, the newest snapshot stays good to go on from.
        """
        norms = single_values_normalised(self.network, self.config.train.batch_size)
        with norms, self.signals, self._progress() as progress:
            try:
                if self._best_to_measure is not None:
                    self._measure_best(self._best_to_measure)
                if self.state.evaluation_due:
                    self._evaluate()
                while not self._is_finished():
                    self._train_epoch(progress)
                if self.signals.caught is not None:
                    raise StopRequested
            except StopRequested:
                self._save()
                raise self.signals.interruption(self.state.step) from None
        self._agree_on_best()
        return self.state

    def _train_epoch(self, progress: tqdm[Any]) -> None:
        """Train until the end of the epoch or of the training. Raises StopRequested."""
        epoch, start = divmod(self.state.step, self.intervals.epoch)
        batches = self.train_batches.epoch(epoch, start=start)
        for batch in self.signals.waiting_for(batches):
            with _memory_errors(self.task):
                losses = self._step(batch)
            if epoch == 0:  # later epochs only repeat what is wrong with the images
                self._tally_warnings(batch)
            progress.update()
            progress.set_postfix(loss=f"{losses['loss']:.4f}", refresh=False)
            self._after_step()
            if self._is_finished():
                break

    def _step(self, batch: Any) -> dict[str, float]:
        """Train on one batch; give its losses."""
        step, train = self.state.step, self.config.train
        # All randomness on the device follows from the step, so there is no generator to save.
        paddle.seed(int(np.random.SeedSequence([train.seed, step]).generate_state(1)[0] >> 1))
        learning_rate = self.schedule.at(step)
        self.optimizer.set_lr(learning_rate)
        self.network.train()
        losses = self.task.losses(self.network, batch)
        values = {name: float(value) for name, value in losses.items()}
        if not math.isfinite(values["loss"]):
            raise DivergedError(
                f"step {step}: the loss is {values['loss']} at learning rate {learning_rate:g}, on "
                f"{', '.join(batch.sources)}. The newest checkpoint is from before it; lower "
                "train.learning_rate or set train.optimizer.clip_norm, and check these files."
            )
        losses["loss"].backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        self.state.step += 1
        self.state.add_losses(values)
        if self.average is not None:
            self.average.update(self.state.step)
        return values

    def _after_step(self) -> None:
        """Log, save and evaluate when it is time."""
        step, every = self.state.step, self.intervals
        is_last = step == every.total
        if step % every.log == 0 or is_last:
            self._log()
        if step % every.evaluate == 0 or is_last:
            self._save(evaluation_due=True)
            self._evaluate()
        elif step % every.save == 0 or self._is_overdue():
            self._save()

    def _tally_warnings(self, batch: Any) -> None:
        for codes, source in zip(batch.warnings, batch.sources, strict=True):
            self.tally.add(codes, source)
        if self.state.step == self.intervals.epoch:
            for line in self.tally.lines():
                log.warning("%s", line)

    def _is_finished(self) -> bool:
        patience = self.config.train.patience
        tired = patience is not None and self.state.evaluations_without_gain >= patience
        return tired or self.state.step >= self.intervals.total

    def _is_overdue(self) -> bool:
        minutes = self.config.save.every_minutes
        return minutes is not None and time.monotonic() - self._saved_at > 60 * minutes

    def _log(self) -> None:
        step, now = self.state.step, time.monotonic()
        images = self.state.window_steps * self.config.train.batch_size
        record = {
            "event": "train",
            "step": step,
            "epoch": (step - 1) // self.intervals.epoch,
            "learning_rate": self.schedule.at(step - 1),
            **self.state.take_window(),
            "images_per_second": round(images / max(now - self._logged_at, 1e-9), 2),
            "time": round(time.time(), 3),
        }
        self._logged_at = now
        self.history.add(record)
        self.observers.logged(record)
        log.info(
            "step %d of %d: loss %.4f, learning rate %.3g, %.1f images/s",
            step,
            self.intervals.total,
            record["loss"],
            record["learning_rate"],
            record["images_per_second"],
        )

    def _save(self, *, evaluation_due: bool = False) -> None:
        """Save the state of this step, unless that has been done."""
        if self._saved_step == self.state.step:
            return
        self.lock.check()
        self.state.evaluation_due = evaluation_due
        self.history.flush()
        self.state.history_bytes = self.history.size_bytes
        self.state.history_sha256 = self.history.sha256
        snapshot = take_snapshot(self.network, self.optimizer, self.average, self.state)
        self.store.save(self.state.step, snapshot)
        self._saved_step, self._saved_at = self.state.step, time.monotonic()

    def _evaluate(self) -> None:
        """Evaluate the model that was just saved, and promote it when it is the best so far."""
        with self.signals.saved():
            self._evaluate_saved()

    def _evaluate_saved(self) -> None:
        begun = time.monotonic()
        averaged = self.average.applied() if self.average is not None else nullcontext()
        if self.eval_batches is None:
            with averaged:
                self._take_as_best(None)
            self.state.evaluation_due = False
            return
        with averaged, _memory_errors(self.task):
            scores = evaluate(self.task.session(self.network), self.task, self.eval_batches())
            self._promote(self._score_among(scores))
        seconds = time.monotonic() - begun
        record = {
            "event": "eval",
            "step": self.state.step,
            **scores,
            "best_score": self.state.best_score,
            "seconds": round(seconds, 2),
            "time": round(time.time(), 3),
        }
        self.state.evaluation_due = False
        self.history.add(record)
        self.observers.evaluated(record)
        log.info(
            "step %d: %s %s, best %s at step %s (evaluated in %.1f s)",
            self.state.step,
            self.config.eval.best,
            _shown(scores[self.config.eval.best]),
            _shown(self.state.best_score),
            self.state.best_step,
            seconds,
        )
        self._logged_at = time.monotonic()

    def _promote(self, score: float | None) -> None:
        state = self.state
        gain = score is not None and (
            state.best_score is None or score > state.best_score + self.config.train.min_delta
        )
        if gain or state.best_step is None:
            self._take_as_best(score)
        else:
            state.evaluations_without_gain += 1
        if self.best is not None and self.best.step <= state.step:
            self._agree_on_best()

    def _take_as_best(self, score: float | None) -> None:
        state = self.state
        state.best_score, state.best_step, state.evaluations_without_gain = score, state.step, 0
        if self.best is not None and self.best.beats(state.step, score):
            log.info("the best model on the disk stays: it is %s", self.best)
            return
        parts = take_snapshot(self.network, self.optimizer, self.average, state)
        # best models carry their numbers under the name that PaddleX gives them; the length of
        # the history hangs on the clock, and equal models shall be equal files
        states = json.loads(parts.pop(STATE))
        del states["history_bytes"], states["history_sha256"]
        parts[STATES] = pdparams.encode(states)
        self.store.promote(state.step, parts, info={"score": score})
        self.best = BestModel(state.step, score)

    def _agree_on_best(self) -> None:
        """Let the state name the best model that is on the disk.

        They differ where a training that went back to an older checkpoint does not come to the
        same scores again, as on devices that do not repeat themselves.
        """
        if self.best is not None:
            self.state.best_step, self.state.best_score = self.best.step, self.best.score

    def _measure_best(self, files: Mapping[str, bytes]) -> None:
        """Give the best model on the disk a score that can be compared with new ones."""
        self._best_to_measure = None
        if self.eval_batches is None or self.best is None:
            return
        own = {key: np.array(value.numpy()) for key, value in self.network.state_dict().items()}
        set_weights(self.network, decode_weights(files))
        try:
            with self.signals.saved(), _memory_errors(self.task):
                scores = evaluate(self.task.session(self.network), self.task, self.eval_batches())
        finally:
            set_weights(self.network, own)
        score = self._score_among(scores)
        log.warning("the best model, %s, now has the score %s", self.best, _shown(score))
        self.store.promote(self.best.step, files, info={"score": score})
        self.best = BestModel(self.best.step, score)
        self._agree_on_best()

    def _score_among(self, scores: Mapping[str, Any]) -> float | None:
        best = self.config.eval.best
        if best not in scores:
            raise ConfigError(
                f"eval.best: {best!r} is not among the metrics; there are {', '.join(scores)}"
            )
        score: float | None = scores[best]
        return score

    @contextmanager
    def _progress(self) -> Iterator[tqdm[Any]]:
        with tqdm(
            total=self.intervals.total,
            initial=self.state.step,
            desc=self.config.model.name,
            unit="step",
            disable=None,
        ) as bar:
            yield bar


def _fitting_schedule(train: TrainConfig, iters: int) -> Schedule:
    """Build the schedule; a warm-up that would outlast the training becomes a tenth of it.

    Recipes warm up for longer than a first trial on a few images lasts.
    """
    schedule = Schedule(train.schedule, train.learning_rate, iters)
    if not schedule.is_warmup_cut_short:
        return schedule
    shorter = train.schedule.model_copy(update={"warmup_iters": iters // 10})
    log.warning(
        "train.schedule.warmup_iters=%d is not shorter than the training of %d iterations; "
        "%d are used",
        *(train.schedule.warmup_iters, iters, shorter.warmup_iters),
    )
    return Schedule(shorter, train.learning_rate, iters)


@contextmanager
def _memory_errors(task: Task) -> Iterator[None]:
    """Say in words what an exhausted memory means."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # Paddle has no class of its own for this: the kind stands in the text
        if not isinstance(error, MemoryError) and "ResourceExhausted" not in str(error):
            raise
        raise ExhaustedError(
            f"out of memory with {task.memory_settings()}: lower one of them. The state before "
            "this step is saved as of the newest checkpoint."
        ) from error


def _shown(score: float | None) -> str:
    return "undefined" if score is None else f"{score:.4f}"
