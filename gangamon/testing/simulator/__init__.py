"""A backend that does as a scenario says, for tests, benchmarks and users: ``docs/simulate.md``.

``scenario`` and ``timeline`` are the truth, pure functions of the seed; ``world`` answers queries
about it, with the scenario's faults; ``server`` is the process; ``backend`` and ``fetcher`` are the
plugins that ask it.
"""
