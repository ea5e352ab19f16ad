"""A worker process: what it has in hand, and how it lives and ends."""
