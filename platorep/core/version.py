"""The version of the package; a separate module, so that every layer can import it without importing the API."""

__version__ = "0.1.0"
