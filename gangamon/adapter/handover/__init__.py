"""From jobs to commands."""
