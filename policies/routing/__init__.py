"""Which deployment is good enough for a prompt: predictions, the floor below them, what is certified. Numpy only."""
