"""Answers that are computed: each deflector fires only where the whole message parses, and is silent otherwise."""
