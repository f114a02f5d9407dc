"""Vectors of texts: made, held and searched in one process beside the workers."""
