"""``python -m gangamon``: the command line."""

from gangamon.cli import main

main(prog_name="gangamon")
