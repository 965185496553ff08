"""What the README and the guide tell newcomers to type is there."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from segcore.cli.main import segcore_command

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")


def commands(page):
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("segcore "):
                yield shlex.split(line, comments=True)[1:]


def code_block(page, language, marker):
    blocks = re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return next(block for block in blocks if marker in block)


@pytest.mark.parametrize("arguments", [c for page in PAGES for c in commands(page)], ids=" ".join)
def test_a_command_parses(arguments):
    group, rest = segcore_command, list(arguments)
    context = click.Context(group, info_name="segcore")
    while isinstance(group, click.Group) and rest:
        _, group, rest = group.resolve_command(context, rest)
    group.make_context(group.name, rest, parent=context, resilient_parsing=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_shows_the_smallest_plugin_of_the_guide():
    shown = code_block(PAGES[0], "python", "SmallestNet")
    guide = code_block(ROOT / "docs" / "plugins.md", "python", "class SmallestNet")
    assert ast.dump(ast.parse(shown)) == ast.dump(ast.parse(guide))


def test_the_program_of_the_readme_runs(colour_run, monkeypatch, tmp_path):
    import numpy as np
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Path("some").mkdir()
    Image.fromarray(np.full((9, 7, 3), 200, np.uint8)).save("some/photo.jpg")
    Path("output").symlink_to(colour_run)
    exec(compile(code_block(PAGES[0], "python", "create_model"), "README.md", "exec"), {})
    assert Path("predictions/photo.json").is_file()
