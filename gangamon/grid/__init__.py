"""Asking grid services: HTTP with a deadline, and credentials by the path of their file; and names
of batch systems. Nothing is imported here: a session has no HTTP client (the extra ``grid``)."""
