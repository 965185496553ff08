"""`python -m segcore` is `segcore`."""

from segcore.cli.main import main

main()
