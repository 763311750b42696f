"""Deletion requests one after another, and what serves them.

    scenarios                 which samples each request names
    course                    a trained network, and the requests that it gets
    chained, from_base        strategies: from the last version, or from the base every time
    service                   strategies: this service
    partitions                cohorts, cut one way or another
    strategies                all of them, by name
    figures                   what a version still knows
    runs, summary, plot       from cells to a table and a picture

`python -m benchmarks.sequential` runs them.
"""
