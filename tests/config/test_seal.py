"""The digest in the first line of a saved configuration."""

import logging

import pytest

from segcore.config.load import read_document
from segcore.config.render import render_config
from segcore.config.resolve import resolve_config
from segcore.config.schema import Config
from segcore.config.seal import is_sealed, seal
from segcore.discovery.catalogue import read_catalogue

TEXT = render_config(Config.model_validate({"model": {"name": "PP-LiteSeg-T"}}))


def test_a_sealed_file_is_known_and_reads_as_before(tmp_path):
    (tmp_path / "sealed.yaml").write_text(seal(TEXT))
    (tmp_path / "plain.yaml").write_text(TEXT)
    sealed, plain = (read_document(tmp_path / f"{name}.yaml") for name in ("sealed", "plain"))
    assert (sealed.sealed, plain.sealed) == (True, None)
    assert sealed.data == plain.data


def test_every_flipped_bit_is_noticed():
    data = seal(TEXT).encode()
    unnoticed = []
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            if is_sealed(bytes(flipped)) is not False:
                unnoticed.append((position, bit))
    assert unnoticed == []


def test_every_shortened_file_is_noticed():
    data = seal(TEXT).encode()
    assert not any(is_sealed(data[:length]) for length in range(len(data)))
    assert is_sealed(data[: len(data) // 2]) is False


@pytest.mark.parametrize("text", ["", "#", "model: {name: X}\n", f"# {'0' * 64}\n", TEXT])
def test_what_was_never_sealed_is_unknown(text):
    assert is_sealed(text.encode()) is None


def test_an_edit_is_meant_once_the_line_is_gone():
    first, _, rest = seal(TEXT).partition("\n")
    assert "remove this line after an edit" in first
    assert is_sealed(rest.replace("512", "256").encode()) is None


def test_a_training_on_an_edited_file_says_so(tmp_path, caplog):
    path = tmp_path / "config.yaml"
    path.write_text(seal(TEXT).replace("seed: ", "seed: 1"))
    with caplog.at_level(logging.WARNING):
        resolve_config(None, path, (), {}, read_catalogue())
    assert [r.getMessage() for r in caplog.records] == [
        f"{path}: was edited after a training wrote it; it counts as it is now"
    ]
