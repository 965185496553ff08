"""Scalars of the YAML 1.2 core schema, both ways.

PyYAML resolves YAML 1.1, where `1e-4` is text, `no` is false, `012` is ten and `1:30` is ninety.
"""

from __future__ import annotations

import math
import re

from segcore.errors import ConfigError

__all__ = ["Scalar", "escape", "render_scalar", "resolve_plain"]

Scalar = str | int | float | bool | None

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+\Z")
_PREFIXED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_INFINITY = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z")
_NOT_A_NUMBER = {".nan", ".NaN", ".NAN"}
# Converting decimals takes time that grows with the square of their length.
_MAX_DIGITS = 100

# Text that is surely plain in any context, once it does not resolve to something else.
_PLAIN = re.compile(r"(?:[A-Za-z_/]|\.{1,2}/)[\w./+-]*(?: [\w./+-]+)*\Z", re.ASCII)

# What YAML 1.1 takes for true and false: quoted, for the other programs that read our files.
_YAML_11_TRUTHS = {"y", "n", "yes", "no", "on", "off"}


def resolve_plain(text: str) -> Scalar:
    """Give the value of an unquoted scalar.

    Raises ConfigError when it is a whole number of more than 100 digits.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _DECIMAL.match(text) or _PREFIXED.match(text):
        if len(text) > _MAX_DIGITS:
            raise ConfigError(
                f"a number of {len(text)} digits: {text[:20]}...; at most 100 are read"
            )
        return int(text, 10 if _DECIMAL.match(text) else 0)
    if _FLOAT.match(text):
        return float(text)
    if _INFINITY.match(text):
        return -math.inf if text[0] == "-" else math.inf
    return math.nan if text in _NOT_A_NUMBER else text


def render_scalar(value: Scalar) -> str:
    """Write `value` so that reading it gives it back, on one line of printable characters."""
    if isinstance(value, str):
        is_text = isinstance(resolve_plain(value), str) if _PLAIN.match(value) else False
        is_plain = is_text and value.lower() not in _YAML_11_TRUTHS
        return value if is_plain else f'"{escape(value)}"'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        mantissa, e, exponent = repr(value).partition("e")
        # YAML 1.1, which other programs read, wants a point in what has an exponent
        return repr(value) if "." in mantissa or not e else f"{mantissa}.0e{exponent}"
    return str(value)


def escape(text: str) -> str:
    """Write `text` on one line of printable characters, as YAML does between double quotes."""
    return "".join(map(_escape, text))


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
