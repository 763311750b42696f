"""What a worker changes in the database: claiming a run, and every way in which it can end.

Each transaction locks the lease first and compares its epoch, so that a worker which was taken over
changes nothing. Which of them is made is decided in `pipeline.py`.
"""
