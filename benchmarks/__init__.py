"""One file per question; each prints what it finds and writes JSON to benchmarks/results."""
