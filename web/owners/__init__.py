"""Visitors, and the jobs that are theirs."""
