"""The benchmark suite: what it measures, and how; ``benchmarks/bench.py`` runs it."""
