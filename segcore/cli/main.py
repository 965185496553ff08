"""The entry point of the command line: global options, and errors as exit codes.

0 done; 1 a check says no; 2 the request is wrong; 3 something is missing; 4 the run could not go
on, or its answer could not be written; 70 a defect of segcore; 130 or 143 interrupted; 141 nobody
reads the output any more.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from segcore import __version__
from segcore.cli.group import CommandLine, switch_off
from segcore.cli.messages import printable, say
from segcore.errors import ExhaustedError, SegcoreError, StorageError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["main", "run", "segcore_command"]

_DEFECT = SegcoreError.exit_code
_CV2_NO_MEMORY = -4  # cv::Error::StsNoMem
_BROKEN_PIPE = 141  # 128 + SIGPIPE, as shells count it
_TRACE_FRAMES = 4
_COMPLETE_VARIABLE = "_SEGCORE_COMPLETE"


@click.group(
    cls=CommandLine,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="segcore %(version)s")
@click.option("--debug", is_flag=True, help="Show the full trace of errors.")
@click.option(
    "--no-plugin",
    metavar="NAME",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=switch_off,
    help="Leave out a plugin, by its name or its distribution's. May be repeated.",
)
@click.pass_context
def segcore_command(ctx: click.Context, debug: bool) -> None:  # noqa: ARG001  read by run()
    """Image segmentation on PaddlePaddle: train, measure, predict, export."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line and exit."""
    _open_descriptors()
    _watch_streams()
    code = run(sys.argv[1:])
    # a pipe may break, and a disk be full, as late as in the last flush
    try:
        sys.stdout.flush()
    except (OSError, StorageError) as error:
        _forget_stdout()
        if code == 0:
            code = _BROKEN_PIPE if isinstance(error, OSError) else _fail(error, debug=False)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:  # noqa: PLR0911  one return for each way to end
    """Run the command line and give its exit code; nothing is raised."""
    _prepare_streams()
    debug = "--debug" in _global_options(arguments)
    try:
        result = _invoke(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        say(_usage(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as stop:
        say(f"segcore: interrupted {stop}".rstrip())
        return 130
    except SegcoreError as error:
        return _fail(error, debug)
    # the outermost frame: whatever else arrives here is a defect, and is reported as one
    except Exception as error:  # noqa: BLE001
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            _forget_stdout()
            return _BROKEN_PIPE
        if _is_out_of_memory(error):
            _trace_if(debug, error)
            say("segcore: out of memory; use smaller images, crops or batches")
            return ExhaustedError.exit_code
        return _report_defect(error, debug)
    return result if isinstance(result, int) else 0


def _is_out_of_memory(error: Exception) -> bool:
    """Say whether memory ran out, in Python or in OpenCV, which is not imported for that."""
    is_cv2 = type(error).__module__ == "cv2"
    return isinstance(error, MemoryError) or (
        is_cv2 and getattr(error, "code", None) == _CV2_NO_MEMORY
    )


def _invoke(arguments: Sequence[str]) -> object:
    """Run the command itself; click's own `main` would hide broken pipes and interrupts."""
    instruction = os.environ.get(_COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(segcore_command, {}, "segcore", _COMPLETE_VARIABLE, instruction)
    if "" in arguments:
        raise click.UsageError("an argument is empty: was a variable not set?")
    with segcore_command.make_context("segcore", list(arguments)) as context:
        return segcore_command.invoke(context)


def _prepare_streams() -> None:
    """Make output possible whatever the locale, and whichever stream was closed from outside."""
    _open_descriptors()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  stays open
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _open_descriptors() -> None:
    """Open what was closed: a closed stdout would hand its number to the next file that is opened.

    What is written there goes nowhere.
    """
    for descriptor in (0, 1, 2):
        if not _is_open(descriptor):
            os.open(os.devnull, os.O_RDWR)


class _Watched(io.FileIO):
    """A stream of this process that may lead to a full disk or to a terminal that has gone.

    What cannot be said on stderr is not said, and ends nothing. What is lost on stdout is an answer
    that somebody asked for: StorageError says so, but for a pipe that nobody reads any more.
    """

    def write(self, data: Buffer) -> int | None:  # type: ignore[override]
        left = memoryview(data).cast("B")
        total = left.nbytes
        try:
            while left:  # where Python buffers nothing, nobody else writes what is left
                written = super().write(left)
                if written is None:
                    return (total - left.nbytes) or None
                left = left[written:]
            return total
        except OSError as error:
            if self.fileno() == 2:
                return total
            if error.errno == errno.EPIPE:
                raise
            raise StorageError(
                f"standard output: cannot be written: {error.strerror}. What the command has done "
                "is done; its answer is lost."
            ) from error


def _watch_streams() -> None:
    """Put a watch on stdout and stderr; above it they stay as Python has set them up."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        watched = _Watched(stream.fileno(), "wb", closefd=False)
        is_raw = isinstance(stream.buffer, io.RawIOBase)  # by PYTHONUNBUFFERED or `python -u`
        again = io.TextIOWrapper(
            watched if is_raw else io.BufferedWriter(watched),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, again)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _forget_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter ends without complaint."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _global_options(arguments: Sequence[str]) -> Sequence[str]:
    for position, argument in enumerate(arguments):
        if not argument.startswith("-") and arguments[position - 1 : position] != ["--no-plugin"]:
            return arguments[:position]
    return arguments


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return f"segcore: {error.format_message()}"
    return f"{context.command_path}: {error.format_message()} (see {context.command_path} --help)"


def _fail(error: SegcoreError, debug: bool) -> int:
    if error.exit_code == _DEFECT:
        return _report_defect(error, debug)
    _trace_if(debug, error)
    say(f"segcore: {error}")
    return error.exit_code


def _trace_if(debug: bool, error: BaseException) -> None:
    if debug:
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())


def _report_defect(error: Exception, debug: bool) -> int:
    """Say that segcore is at fault, with a short trace and where the long one is."""
    import traceback

    trace = "".join(traceback.format_exception(error))
    shown = trace if debug else "".join(traceback.format_exception(error, limit=-_TRACE_FRAMES))
    say(shown.rstrip())
    say(
        f"segcore {__version__}: this is a defect of segcore or of a plugin, not of your data. "
        f"{_write_log(trace)}"
    )
    return _DEFECT


def _write_log(trace: str) -> str:
    import secrets
    import tempfile

    from segcore.checkpoint.files import DISK

    # made anew under a name that nobody has, in a folder that all users share
    name = f"segcore-defect-{os.getpid()}-{secrets.token_hex(4)}.log"
    path = Path(tempfile.gettempdir(), name)
    command = " ".join(sys.argv)
    text = printable(f"segcore {__version__}, Python {sys.version}\n{command}\n\n{trace}")
    try:
        DISK.write_file(path, text.encode("utf-8"))
    except OSError as error:
        return f"Its log could not be written ({error})."
    return f"Please report it with the log: {path}"
