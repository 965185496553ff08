"""Damage files: bytes anywhere, and in texts also numbers, words and structure."""

import json
import re
from copy import deepcopy

import numpy as np

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
NUMBERS = (
    b"0", b"-1", b"1e999", b"-1e999", b"1e308", b"NaN", b"Infinity", b"-Infinity", b"null", b"true",
    b'"7"', b"[]", b"{}", b"1.5", b"65536", b"2147483648", b"9223372036854775808",
    b"9" * 400, b"9" * 5000, b"1e-400", b"0.1", b"-0",
)  # fmt: skip
TOKENS = (
    b'"', b"'", b"\\", b"\n", b"\r", b"\t", b" ", b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xe2\x80\xae", b"[", b"]", b"{", b"}", b"[" * 3000, b'{"a":' * 3000, b",", b":", b"#",
    b"&a", b"*a",
    b"<<: *a", b"!!python/name:os.system", b"!!binary", b"../", b"/dev/zero", b"%s", b"\\u0000",
    b"\\ud800", b"\x1b[2J", b"x" * 70000, b"- ", b"? ", b"|", b">", b"@",
)  # fmt: skip


VALUES = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**30), 0.5, 1e308, -1e308,
    float("nan"), float("inf"), "", "a", "../../etc/passwd", "/dev/zero", "\0", "\ud800",
    "x" * 5000, "7", [], {}, [[]], [None], [1], [1, 2], [1, 2, 3], [[1, 1]],
    [[1e9, -1e9], [3, 4], [5, 6]],
    {"size": [1, 1], "counts": "1"}, {"size": [2**31, 2**31], "counts": [2**62]},
    {"counts": [-5, 10]}, {"size": "a", "counts": "0" * 999},
)  # fmt: skip


def mutated(data: bytes, rng: np.random.Generator, other: bytes) -> bytes:
    """Give `data` with one to six changes, some of which may be pieces of `other`.

    Of what is JSON, two in three keep to its grammar and have odd values in places.
    """
    if data.startswith(b"{") and rng.random() < 0.67:
        return _mutated_tree(data, rng)
    changed = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 1, 2, 2, 3, 6]))):
        changed = _CHANGES[int(rng.integers(len(_CHANGES)))](changed, rng, other) or bytearray(
            b"\0"
        )
    return bytes(changed)


def _mutated_tree(data, rng):
    tree = json.loads(data)
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        places = list(_places(tree))
        holder, key = places[int(rng.integers(len(places)))]
        what = int(rng.integers(8))
        if what == 0:
            del holder[key]
        elif what == 1 and isinstance(holder, list):
            holder.append(holder[key])
        elif what == 2:
            other, place = places[int(rng.integers(len(places)))]
            holder[key] = json.loads(json.dumps(other[place]))
        else:
            holder[key] = deepcopy(VALUES[int(rng.integers(len(VALUES)))])
        if not tree:
            break
    return json.dumps(tree).encode()


def _places(tree):
    """Give every place in a tree, as what holds it and the key or index."""
    for key in range(len(tree)) if isinstance(tree, list) else tuple(tree):
        yield tree, key
        if isinstance(tree[key], (list, dict)):
            yield from _places(tree[key])


def _at(data, rng):
    return int(rng.integers(len(data)))


def _flip(data, rng, other):
    data[_at(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _set(data, rng, other):
    data[_at(data, rng)] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))
    return data


def _set_length(data, rng, other):
    """Overwrite four bytes by a number that a length or a count may be."""
    at = _at(data, rng)
    value = int(rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data), len(data) * 2]))
    data[at : at + 4] = value.to_bytes(4, "big" if rng.integers(2) else "little")
    return data


def _cut(data, rng, other):
    return data[: _at(data, rng)]


def _drop(data, rng, other):
    at = _at(data, rng)
    del data[at : at + int(rng.integers(1, 40))]
    return data


def _repeat(data, rng, other):
    at, size = _at(data, rng), int(rng.integers(1, 60))
    data[at:at] = data[at : at + size] * int(rng.integers(1, 4))
    return data


def _splice(data, rng, other):
    at, start = _at(data, rng), int(rng.integers(len(other)))
    data[at:at] = other[start : start + int(rng.integers(1, 80))]
    return data


def _number(data, rng, other):
    """Replace a number of a text by one that nobody expects there."""
    found = list(NUMBER.finditer(data))
    if found:
        place = found[int(rng.integers(len(found)))]
        data[place.start() : place.end()] = NUMBERS[int(rng.integers(len(NUMBERS)))]
    return data


def _token(data, rng, other):
    at = _at(data, rng)
    data[at:at] = TOKENS[int(rng.integers(len(TOKENS)))]
    return data


_CHANGES = (_flip, _set, _set_length, _cut, _drop, _repeat, _splice, _number, _token, _number)
