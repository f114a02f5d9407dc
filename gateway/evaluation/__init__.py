"""What answers without a model are judged by, offline: on messages known to need one or not."""
