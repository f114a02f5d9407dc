"""Guards: each kind in a file of its own, loaded only once one of it is built."""
