"""`python -m pipelines.cli` is the `voxhelix` command."""

from pipelines.cli.main import main

main()
