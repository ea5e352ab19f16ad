"""The measurements: the cost of ProgRock, and how well it keeps time."""
