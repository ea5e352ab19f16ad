"""Starts the baseline's chains: `python -m bench.enqueue JOB…`."""

import sys

from .baseline import poll

for job in sys.argv[1:]:
    poll.send(job)
