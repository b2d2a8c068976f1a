"""DIRAC, asked within its own environment: ``process`` keeps ``program`` running there."""
