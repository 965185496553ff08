"""ADE20K as the scene parsing challenge has it: 150 classes, 0 for everything else.

`images/training`, `images/validation`, and the same below `annotations/`. The classes are those of
`objectInfo150.txt` where it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from segcore.annotation import Classes, Note, Split
from segcore.data.convert.pairs import Pair, PairSource, value_table
from segcore.data.convert.source import IMAGE_SUFFIXES, read_lines, walk_files, without_suffix
from segcore.data.paths import printable
from segcore.errors import DataError
from segcore.filesystem import is_file, is_folder

__all__ = ["ADE20K_CLASSES", "Ade20kConverter"]

_NAMES = (
    "wall,building,sky,floor,tree,ceiling,road,bed,windowpane,grass,cabinet,sidewalk,person,earth,"
    "door,table,mountain,plant,curtain,chair,car,water,painting,sofa,shelf,house,sea,mirror,rug,"
    "field,armchair,seat,fence,desk,rock,wardrobe,lamp,bathtub,railing,cushion,base,box,column,"
    "signboard,chest of drawers,counter,sand,sink,skyscraper,fireplace,refrigerator,grandstand,"
    "path,stairs,runway,case,pool table,pillow,screen door,stairway,river,bridge,bookcase,blind,"
    "coffee table,toilet,flower,book,hill,bench,countertop,stove,palm,kitchen island,computer,"
    "swivel chair,boat,bar,arcade machine,hovel,bus,towel,light,truck,tower,chandelier,awning,"
    "streetlight,booth,television receiver,airplane,dirt track,apparel,pole,land,bannister,"
    "escalator,ottoman,bottle,buffet,poster,stage,van,ship,fountain,conveyer belt,canopy,washer,"
    "plaything,swimming pool,stool,barrel,basket,waterfall,tent,bag,minibike,cradle,oven,ball,food,"
    "step,tank,trade name,microwave,pot,animal,bicycle,lake,dishwasher,screen,blanket,sculpture,"
    "hood,sconce,vase,traffic light,tray,ashcan,fan,pier,crt screen,plate,monitor,bulletin board,"
    "shower,radiator,glass,clock,flag"
)
ADE20K_CLASSES = tuple(_NAMES.split(","))
_SPLITS: Mapping[str, Split] = {"training": "train", "validation": "val", "testing": "test"}
_INFO = "objectInfo150.txt"


class Ade20kConverter(BaseModel):
    """Read ADEChallengeData2016."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def detects(self, root: Path) -> bool:
        """Say whether `root` has labels for training or validation."""
        return any(is_folder(root / "annotations" / name) for name in ("training", "validation"))

    def read(self, root: Path) -> PairSource:
        """Find the images with a label. Raises DataError."""
        labels = {
            without_suffix(name): name
            for name in walk_files(root / "annotations", frozenset((".png",)))
        }
        pairs: list[Pair] = []
        notes: list[Note] = []
        for name in walk_files(root / "images", IMAGE_SUFFIXES):
            split, _, rest = name.partition("/")
            label = labels.get(without_suffix(name))
            if label is None or split not in _SPLITS:
                notes.append(Note("skipped", "image", "it has no label", name))
                continue
            pairs.append(
                Pair(without_suffix(rest), f"images/{name}", f"annotations/{label}", _SPLITS[split])
            )
        names = _read_names(root) if is_file(root / _INFO) else ADE20K_CLASSES
        table = value_table(range(1, len(names) + 1))
        return PairSource(root, pairs, Classes(names), table, notes=notes)


def _read_names(root: Path) -> tuple[str, ...]:
    """Read the first of each row's names: number, share, two counts, names with ; or , between."""
    names: list[str] = []
    for line in read_lines(root, _INFO):
        fields = line.split("\t")
        if fields[0].strip().isdecimal():
            name = fields[-1].replace(";", ",").split(",")[0].strip()
            names.append(name if name not in names else f"{name} {len(names) + 1}")
    if not 0 < len(names) < 256 or not all(names):
        raise DataError(f"{printable(root / _INFO)}: is no list of classes in ADE20K's form.")
    return tuple(names)
