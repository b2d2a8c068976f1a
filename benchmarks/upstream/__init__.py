"""Ganga's own test modules, with and without the adapter."""
