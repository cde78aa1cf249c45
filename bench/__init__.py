"""Benchmarks: each module measures this package and a peer in one run, started as `python -m bench.NAME` in the project's folder."""
