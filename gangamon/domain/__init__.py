"""The pure core: what a job is, what was seen of it, and what follows. Standard library only."""
