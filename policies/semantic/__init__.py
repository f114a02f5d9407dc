"""Whether the answer to one prompt may be given to a similar one, and how often that may be wrong. Pure."""
