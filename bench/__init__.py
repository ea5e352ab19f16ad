"""The measurements: the cost of ProgRock, and how well it keeps time."""

import os

# The store reads the settings, which ask for secrets outside of development.
os.environ.setdefault("PROGROCK_ENV", "development")
