"""HTTP's own matters: problems and JSON."""
