"""Parts of the composition root, gateway/app.py: the adapters, the admin surface and the jobs of one worker."""
