"""Asking grid services: HTTP with a deadline, and credentials by the path of their file."""

from gangamon.grid.credential import Credential
from gangamon.grid.http import Answer, Requests

__all__ = ["Answer", "Credential", "Requests"]
