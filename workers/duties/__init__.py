"""What a steward does on its rounds, one duty a file.

Each locks what it touches, or decides nothing that is not checked again where it matters: any
number of stewards may do it at once.
"""
