"""What can be told of samples from what a network makes of them: every figure, with its interval.

probe.py, observation.py        which samples are looked at, and what is seen of each
membership.py, gap_attack.py    can forgotten samples be told from samples that were never seen
surrogate.py (by pictures.py), expectation.py
what a network would know that had never been taught them
standing.py                     what of all this a cohort is judged by
resemblance.py                  is the network like one that has learnt nothing
intervals.py                    how far a figure can be trusted
"""
