"""What the gate goes by: what a candidate costs, how cohorts are judged, what follows from it.

bounds.py, damage.py    what a policy allows, and what a candidate costs those that stay
pooling.py              cohorts that show nothing alone, judged together
judgement.py            what is found of a candidate, and what follows
reasons.py              the same, in sentences
"""
