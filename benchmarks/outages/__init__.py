"""500 jobs of a real batch system that is stopped, hangs, is slow, and refuses."""
