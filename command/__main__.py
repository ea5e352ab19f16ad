"""`python -m command` is `progrock`."""

from __future__ import annotations

import sys

from . import main

sys.exit(main())
