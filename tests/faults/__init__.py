"""The fault harness: the real processes, hurt again and again while jobs are watched.

`make faults` is the long run; `test_faults.py` has each fault once.
"""
