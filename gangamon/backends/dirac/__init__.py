"""DIRAC: ``states`` says what its states mean."""
