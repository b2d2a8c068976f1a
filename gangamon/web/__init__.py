"""The job page and its JSON API: ``gangamon web``."""
