"""Experiments on trained networks: published unlearning methods against this project's.

    sources, data, networks     what is learned, and by what
    training                    networks from scratch, kept on disk
    tasks                       what is to be forgotten
    methods                     one published method a file, all of them in `METHODS`
    figures                     what a network still knows
    store, runs, summary, plot  from cells to a table

    sequences                   requests one after another

`python -m benchmarks.paper` runs the table, `python -m benchmarks.sequential` the sequences.
"""
