"""`python -m platorep`."""

from platorep.cli import main


if __name__ == "__main__":
    main()
