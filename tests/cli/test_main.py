"""Global options, exit codes, streams: the frame around every command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from segcore import __version__, errors
from segcore.cli import main as command_line
from segcore.cli.main import run, segcore_command
from segcore.cli.messages import printable
from segcore.discovery.catalogue import get_catalogue
from segcore.testing.site import Site


@pytest.fixture
def ending(monkeypatch, capsys):
    """Run a command that raises; gives the exit code and stderr."""

    def run_one(error, *options):
        @click.command()
        def raising():
            raise error

        monkeypatch.setattr(segcore_command, "get_command", lambda _ctx, _name: raising)
        code = run([*options, "doctor"])
        return code, capsys.readouterr().err

    return run_one


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.CheckFailed("no"), 1),
        (errors.ConfigError("no"), 2),
        (errors.PluginMissingError("no"), 3),
        (errors.StorageError("no"), 4),
        (errors.Interrupted("no", 15), 143),
        (MemoryError(), 4),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.UsageError("no"), 2),
    ],
)
def test_an_error_ends_with_its_code_in_one_line(ending, error, code):
    got, said = ending(error)
    assert got == code
    assert said.startswith("segcore")
    assert said.count("\n") == 1


def test_debug_shows_the_trace(ending):
    code, said = ending(errors.ConfigError("wrong"), "--debug")
    assert code == 2
    assert "Traceback" in said
    assert said.endswith("segcore: wrong\n")


def test_a_defect_ends_with_70_a_short_trace_and_a_log(ending, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, said = ending(ZeroDivisionError("oops"))
    assert code == 70
    assert "ZeroDivisionError: oops" in said
    path = re.search(r"log: (\S+)", said)[1]
    assert "ZeroDivisionError: oops" in Path(path).read_text(encoding="utf-8")


def test_a_defect_is_reported_where_no_log_can_be_written(ending, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    code, said = ending(ZeroDivisionError("oops"))
    assert code == 70
    assert "could not be written" in said


def test_control_characters_of_a_message_are_escaped(ending):
    _, said = ending(errors.DataError("bad name \x1b[2J\udcff.png"))
    assert r"bad name \x1b[2J\udcff.png" in said


def test_printable_keeps_what_can_be_read():
    assert printable("größe\t日本\n") == "größe\t日本\n"


def test_without_arguments_it_shows_the_help(capsys):
    assert run([]) == 0
    assert "Usage: segcore" in capsys.readouterr().out


def test_the_help_lists_every_command_with_its_summary(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for entry in get_catalogue().commands:
        assert entry.name in shown
        assert entry.spec.summary in shown


def test_the_version_is_shown(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"segcore {__version__}\n"


def test_a_misspelt_command_is_answered_with_the_nearest(capsys):
    assert run(["modles"]) == 2
    assert capsys.readouterr().err == (
        "segcore: there is no command 'modles'; did you mean 'models'?\n"
    )


def test_a_wrong_option_is_one_line_with_the_way_to_the_help(capsys):
    assert run(["models", "--jsno"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("segcore models: No such option")
    assert said.count("\n") == 1


def test_debug_after_the_command_belongs_to_the_command():
    assert "--debug" not in command_line._global_options(["models", "--debug"])
    assert "--debug" in command_line._global_options(["--no-plugin", "x", "--debug", "models"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return Site(tmp_path_factory.mktemp("site"))


def test_a_reader_that_goes_away_is_no_error(site):
    command = [sys.executable, "-m", "segcore", "plugins", "info", "builtin", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=site.environment()
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode in (0, 141)
    assert said == b""


def test_a_pipe_that_is_broken_from_the_start_ends_with_141(site):
    reading, writing = os.pipe()
    os.close(reading)
    answer = subprocess.run(
        [sys.executable, "-m", "segcore", "models", "--all"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=site.environment(),
        check=False,
    )
    os.close(writing)
    assert (answer.returncode, answer.stderr) == (141, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_error(site, closed):
    script = f'"$0" -m segcore models --json {closed}'
    answer = subprocess.run(
        ["sh", "-c", script, sys.executable],
        capture_output=True,
        env=site.environment(),
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, b"")


WRITES = """
import os, sys
from segcore.cli.main import _watch_streams
_watch_streams()
sys.stdout.write("half a line")
sys.stderr.write("a line\\n")
arrived = os.fstat(1).st_size, os.fstat(2).st_size
sys.stdout.write("x" * 2**20)
os._exit(arrived != (len("half a line") * (bool(sys.argv[1:])), len("a line\\n")))
"""


@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_what_is_said_is_written_when_python_would_write_it(tmp_path, unbuffered):
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        answer = subprocess.run(
            [sys.executable, *unbuffered, "-c", WRITES, *unbuffered],
            stdout=out,
            stderr=err,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            check=False,
        )
    assert answer.returncode == 0


FULL = [
    ("models --all --json", ">/dev/full", 4),
    ("plugins list", ">/dev/full", 4),
    ("--help", ">/dev/full", 4),
    ("doctor --no-such-option", "2>/dev/full", 2),
    ("models --all", "2>/dev/full", 0),
    ("config show NoSuchModel", ">/dev/full 2>/dev/full", 2),
]


@pytest.mark.parametrize(
    ("command", "full", "code"), FULL, ids=map(" ".join, (f[:2] for f in FULL))
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stream_on_a_full_disk_is_no_defect(site, command, full, code, unbuffered):
    answer = subprocess.run(
        ["sh", "-c", f'"$0" -m segcore {command} {full}', sys.executable],
        capture_output=True,
        env={**site.environment(), "PYTHONUNBUFFERED": unbuffered},
        check=False,
    )
    assert answer.returncode == code, answer.stderr
    if code == 4:
        assert answer.stderr.startswith(b"segcore: standard output: cannot be written: ")
        assert answer.stderr.count(b"\n") == 1


@pytest.mark.skipif(
    not str(Path(__file__)).isascii(), reason="Python does not start there if its path has letters"
)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_locale_without_the_letters_is_no_error(site, encoding):
    site.install(
        "letters",
        "from segcore.plugin import ModelSpec, hookimpl\n@hookimpl\ndef segcore_models():\n"
        "    return [ModelSpec(name='Net-東', target='a:b')]\n",
    )
    answer = site.segcore(
        "models", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING=f"{encoding}:strict"
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "Net-" in answer.stdout


def test_completion_offers_the_commands(site):
    answer = site.segcore(
        _SEGCORE_COMPLETE="bash_complete", COMP_WORDS="segcore pl", COMP_CWORD="1"
    )
    assert answer.stdout == "plain,plugins\n"


LOADED = "import sys, json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["models"],
        ["models", "--all", "--json"],
        ["plugins", "list"],
        ["config", "check", "/dev/null"],
    ],
    ids=" ".join,
)
def test_commands_that_only_list_import_neither_paddle_nor_opencv(site, arguments):
    code = f"from segcore.cli.main import run\nrun({arguments!r})\n{LOADED}"
    answer = site.python("-c", code)
    loaded = set(json.loads(answer.stderr.splitlines()[-1]))
    assert "segcore.discovery.catalogue" in loaded
    assert not loaded & {"paddle", "cv2", "PIL", "tqdm", "urllib.request"}


def test_completion_imports_no_command(site):
    code = f"from segcore.cli.main import run\nrun([])\n{LOADED}"
    answer = site.python(
        "-c", code, _SEGCORE_COMPLETE="bash_complete", COMP_WORDS="segcore ", COMP_CWORD="1"
    )
    loaded = set(json.loads(answer.stderr.splitlines()[-1]))
    assert not loaded & {"segcore.cli.models", "pydantic", "numpy", "paddle", "cv2"}
