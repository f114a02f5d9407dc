"""What routers learn from and are measured with: data, training, figures, and the artifact that a gateway loads."""
