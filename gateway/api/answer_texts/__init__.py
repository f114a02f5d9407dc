"""Answers as their clients read them, taken apart into their texts and put together with others: a file by dialect."""
