"""A worker process: the calls that it has in hand, and how it lives and ends."""
