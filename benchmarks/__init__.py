"""One command each: ``python -m benchmarks NAME``. They print what they ran on, and ratios."""
