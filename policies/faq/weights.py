"""What evidence weighs: written by `make faq`, from public questions (deploy/faq/SOURCES.md)."""

from __future__ import annotations

# In the order of judging.py; their sum with BIAS is the log odds that the nearest entry is the one that is asked.
WEIGHTS = (
    3.3246,
    3.7545,
    12.5723,
    9.6831,
    12.8159,
    5.5129,
    2.4435,
    2.1912,
    -0.5655,
    -0.6038,
)
BIAS = -9.0990
# Of the answers to all messages that score as much or more, the share that is wrong.
SCORES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
RISKS = (0.1395, 0.1176, 0.0942, 0.0754, 0.0560, 0.0415, 0.0296, 0.0197, 0.0133, 0.0089, 0.0068, 0.0040, 0.0020)
