"""Outputs under kill -9 of each stage."""
