"""The command line: the typer app, the launch of Hydra, and the schema of what can be set."""

from platorep.cli.app import app, main


__all__ = ["app", "main"]
