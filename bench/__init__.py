"""The measurements: what ProgRock costs and how well it keeps time."""

import os

# The benchmarks use the store, and starting without an environment is for development.
os.environ.setdefault("PROGROCK_ENV", "development")
