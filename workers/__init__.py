"""What computes: the RQ worker, the pipeline of a run, enrolment, the steward, the numerics."""
