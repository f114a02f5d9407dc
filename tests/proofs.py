"""How far the proofs go: whole in ``make proofs``, short in plain pytest (``make test`` leaves out those of faults)."""

from __future__ import annotations

import os

IS_WHOLE = os.environ.get("OBOL_PROOFS") == "whole"
