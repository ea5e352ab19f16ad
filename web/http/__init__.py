"""HTTP's own matters: problems, JSON and forms."""
