"""The fault harness: it injects faults into the real processes while jobs are watched.

`make faults` is the long run; `test_faults.py` injects each fault once.
"""
