"""`obol router calibrate`: a route's own deployments on its user's own prompts, and a router fitted to that."""
