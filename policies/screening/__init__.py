"""What guards look for in texts: pure detection, each kind in a folder of its own."""
