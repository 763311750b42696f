"""Experiments on trained networks: published unlearning methods against this project's.

sources, data, networks     what is learned, and by what
training                    networks from scratch, kept on disk
tasks                       what is to be forgotten
methods                     one published method a file, all of them in `METHODS`
laboratory, subjects        forgetting as the service does it, in memory
sweeps                      many settings of α and λ
figures                     what a network still knows
bench, store, runs          common options; cells that outlive an interrupted run
summary, plot               from cells to the table of `benchmarks.paper`
outcomes, calibration_report   the same for `benchmarks.calibration`
sequences                   requests one after another, for `benchmarks.sequential`
"""
