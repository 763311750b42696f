"""Experiments on trained networks: published unlearning methods against this project's.

    sources, data, networks     what is learned, and by what
    training                    networks from scratch, kept on disk
    tasks, fractions            what is to be forgotten
    methods                     one published method a file, all of them in `METHODS`
    laboratory, subjects        forgetting as the service does it, in memory
    sequences                   requests one after another, for `benchmarks.sequential`
    sweeps                      many settings of α and λ
    planted, layers             which weights are selected, and where they lie
    figures                     what a network still knows
    bench, store, runs          common options; cells that outlive an interrupted run
    summary, outcomes           from cells to what is written
    plot, *_report              to tables and pictures

`benchmarks.paper`, `calibration`, `fraction` and `specialisation` are made of these.
"""
