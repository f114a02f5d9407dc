"""What the `obol` commands other than `serve` do. Each module is imported when its command is given."""

from __future__ import annotations


class CommandFailed(Exception):
    """A command cannot do what was asked; the message is one line for the operator."""
