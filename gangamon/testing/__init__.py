"""For tests, also those of plugins: a clock that is set by hand, factories, conformance suites.

A plugin's tests subclass the suites of ``gangamon.testing.conformance``; pytest must be there.
"""
