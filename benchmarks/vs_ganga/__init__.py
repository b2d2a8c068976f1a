"""The same jobs, watched by stock Ganga and by gangamon, in one run."""
