"""What evidence weighs: written by `make faq`, from public questions (deploy/faq/SOURCES.md)."""

from __future__ import annotations

# In the order of judging.py; their sum with BIAS is the log odds that the nearest entry is the one that is asked.
WEIGHTS = (
    3.3134,
    3.6230,
    12.1492,
    12.7257,
    12.2852,
    5.6450,
    2.4483,
    2.0458,
    -0.6129,
    -0.6583,
)
BIAS = -9.0696
# Of the answers to all messages that score as much or more, the share that is wrong.
SCORES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
RISKS = (0.1387, 0.1152, 0.0932, 0.0749, 0.0550, 0.0423, 0.0298, 0.0195, 0.0146, 0.0098, 0.0053, 0.0028, 0.0019)
