"""Data sets for tests of the loader, in a module that data workers can import."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segcore.errors import LabelError
from segcore.tasks.sample import Sample


@dataclass(frozen=True)
class Numbered:
    """Sample `i` is a random picture of its own."""

    length: int = 12
    height: int = 40
    width: int = 48
    class_names = ("background", "thing")

    def __len__(self):
        return self.length

    def load(self, index):
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (self.height, self.width, 3), np.uint8)
        label = rng.integers(0, 2, (self.height, self.width), np.uint8)
        return Sample(image, label, index, self.describe(index))

    def describe(self, index):
        return f"images/{index:04d}.png (train.txt line {index + 1})"

    def fingerprint(self):
        return str(self.length)


@dataclass(frozen=True)
class Faulty(Numbered):
    """Raises what `kind` says at the indices `bad`."""

    bad: tuple[int, ...] = (5,)
    kind: str = "label"

    def load(self, index):
        if index in self.bad:
            if self.kind == "label":
                raise LabelError(f"{self.describe(index)}: 3 pixels have class 21")
            if self.kind == "memory":
                raise MemoryError
            raise ZeroDivisionError("division by zero")
        return super().load(index)


@dataclass(frozen=True)
class Stuck(Numbered):
    """Never comes back from sample `at`; says so in the file `mark` first."""

    at: int = 3
    mark: Path = Path("mark")

    def load(self, index):
        if index == self.at:
            self.mark.write_text(str(os.getpid()))
            read_for_ever()
        return super().load(index)


def read_for_ever():
    while True:
        time.sleep(3600)


@dataclass(frozen=True)
class Modules(Numbered):
    """Tells the modules that its process has imported, as the source of its samples."""

    def load(self, index):
        sample = super().load(index)
        sample.source = " ".join(sorted(sys.modules))
        return sample


@dataclass(frozen=True)
class Chatty(Numbered):
    """Prints, as code of strangers may."""

    def load(self, index):
        print("reading", index)
        return super().load(index)


class Stamp:
    """Replaces a picture by one random number."""

    def __call__(self, sample, rng):
        return Sample(np.full((2, 2, 3), rng.random(), np.float32), sample.label)


def as_list(samples):
    return samples
