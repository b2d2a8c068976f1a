"""A user who types while 10,000 subjobs change beside them: what each call took, and why."""
