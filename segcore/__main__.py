"""The program `segcore`, also as `python -m segcore`: signals are answered before anything else."""

from __future__ import annotations

from typing import NoReturn

from segcore.engine.signals import end_on_signals

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line and exit."""
    end_on_signals()
    # imported only now, since it takes the time in which an impatient user presses Ctrl-C
    from segcore.cli.main import main as run_command_line

    run_command_line()


if __name__ == "__main__":
    main()
