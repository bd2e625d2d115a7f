"""``python -m tilewise`` is ``tilewise``."""

from tilewise.cli import main

main()
