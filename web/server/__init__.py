"""Hypercorn made ours: strict with its clients, and lean with thousands of them."""
