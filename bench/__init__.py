"""The measurements: what ProgRock costs and how well it keeps time."""
