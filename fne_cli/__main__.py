"""``python -m fne_cli``."""

from fne_cli.cli.main import main

main()
