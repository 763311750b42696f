"""From a run's sums to its verdict: what is looked at, what is tried, and what is said of it.

The numerics are in `unlearning`; here they meet the rows of a registered model and its dataset.
"""
