"""One file per question; each prints what it finds and writes JSON to benchmarks/results.

`tools` is what they share, `experiments` and `traffic` what several of them are made of.
"""
