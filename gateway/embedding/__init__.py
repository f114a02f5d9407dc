"""Vectors of texts: made, held and searched in one process beside the workers."""

SOCKET_NAME = "embedder.sock"  # in the folder of the data folder's sockets
