"""`python -m journal.cli`: the same command, where the script is not on the path."""

from journal.cli import main

main()
