"""What is done in a job's output directory, by a worker or by its helpers (``helper.py``): so this
imports little."""
