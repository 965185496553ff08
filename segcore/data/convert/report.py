"""What a conversion did, for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segcore.annotation import IGNORED, Classes, Note
from segcore.checkpoint.ownership import marked
from segcore.data.convert.image import PlannedImage
from segcore.data.paths import printable

__all__ = ["REPORT_MARK", "Conversion"]

REPORT_MARK = "segcore data convert"
_SHOWN = 20


@dataclass
class _Count:
    count: int = 0
    files: list[str] = field(default_factory=list)


@dataclass
class Conversion:
    """The result of a conversion; it grows while that goes on.

    `images` counts those written by split, `pixels` and `objects` what was written by class.
    """

    source: Path
    source_format: str
    output: Path
    output_format: str
    classes: Classes
    images: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    notes: dict[tuple[str, str, str], _Count] = field(default_factory=dict)

    @property
    def written(self) -> int:
        """Number of images written."""
        return sum(self.images.values())

    def is_clean(self) -> bool:
        """Say whether everything was taken as it stood."""
        return not self.notes

    def count_notes(self, notes: Iterable[Note], file: str = "") -> None:
        """Count notes by what they say, with the first 20 files of each."""
        for note in notes:
            entry = self.notes.setdefault((note.action, note.what, note.reason), _Count())
            entry.count += 1
            name = printable(note.file or file)
            if name and name not in entry.files and len(entry.files) < _SHOWN:
                entry.files.append(name)

    def count_image(self, image: PlannedImage, labels: Iterable[int]) -> None:
        """Count an image that was written, and the classes of its annotations."""
        self.images[image.split] += 1
        found = [label for label in labels if label != IGNORED]
        self.empty += not found
        self.objects.update(self.classes.names[label] for label in found)

    def as_json(self) -> dict[str, Any]:
        """Give the report as JSON holds it."""
        content = {
            "source": printable(self.source),
            "from": self.source_format,
            "output": printable(self.output),
            "to": self.output_format,
            "classes": list(self.classes.names),
            "images": {"total": self.written, **dict(sorted(self.images.items()))},
            "images_without_annotation": self.empty,
            "annotations": {name: self.objects[name] for name in self.classes.names},
            **{action: self._notes(action) for action in ("clipped", "changed", "skipped")},
        }
        return marked(content, REPORT_MARK)

    def _notes(self, action: str) -> list[dict[str, Any]]:
        return [
            {"what": what, "reason": reason, "count": entry.count, "files": entry.files}
            for (found, what, reason), entry in sorted(self.notes.items())
            if found == action
        ]

    def lines(self) -> Iterable[str]:
        """Tell the report in lines for people."""
        splits = ", ".join(f"{count} {split}" for split, count in self.images.items())
        yield f"{printable(self.output)}: {self.written} images ({splits or 'none'})"
        counts = ", ".join(
            f"{printable(name)} {self.objects[name]}"
            for name in self.classes.names
            if self.objects[name]
            or not self.classes.has_background
            or name != self.classes.names[0]
        )
        yield f"{len(self.classes.names)} classes; annotations: {counts or 'none'}"
        if self.empty:
            yield f"{self.empty} images without annotations were kept"
        for (action, what, reason), entry in sorted(self.notes.items())[:_SHOWN]:
            thing = what if entry.count == 1 else f"{what}s"
            shown = ", ".join(entry.files[:3]) + (", ..." if len(entry.files) > 3 else "")
            yield f"{entry.count} {thing} {action}: {reason}" + (f" ({shown})" if shown else "")
        if len(self.notes) > _SHOWN:
            yield f"and {len(self.notes) - _SHOWN} more reasons (see the report)"
