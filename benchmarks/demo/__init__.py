"""The main job, end to end: a real Ganga session, real processes, workers outside it."""
