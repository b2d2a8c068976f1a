"""Which jobs are watched, by whom, and how they are read."""
