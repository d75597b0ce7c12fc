"""`python -m cli`: the `avatars` command without its script."""

from cli.main import main

main()
