"""The search for the settings that forget at least cost, candidate by candidate.

workbench.py, trials.py         where candidates are made and judged, and how many there may be
search.py, scale.py             every cohort on a scale of its own, judged together
strengthening.py, deepening.py, relenting.py, keeping.py
what is tried beside and after that
preference.py                   which of two candidates is better
"""
