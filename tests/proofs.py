"""How far the proofs go: short forms in ``make test``, whole ones in ``make proofs``."""

from __future__ import annotations

import os

IS_WHOLE = os.environ.get("OBOL_PROOFS") == "whole"
