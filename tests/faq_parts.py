"""A small list of questions, and vectors that tests can foresee."""

from __future__ import annotations

import hashlib

import numpy as np

from policies.faq.words import read

LIST = {
    "returns": ("How do I return my order?", "I want to send my order back", "Return my order"),
    "delivery": ("When will my order arrive?", "How long does delivery take?", "When is my parcel delivered"),
    "address": ("How do I change my address?", "I moved to a new address", "Change my delivery address"),
    "invoice": ("Where do I find my invoice?", "Please send me the invoice", "I need an invoice of my order"),
    "warranty": ("How long is the warranty?", "Is there a warranty on lamps?", "Warranty of 24 months"),
}


def vectors_of(texts):
    """Unit vectors: the sum of one for each word of content, so that texts of the same words are near."""
    rows = np.array([sum((_direction(word) for word in read(text).content), np.zeros(384)) for text in texts])
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norms > 0, norms, 1)).astype(np.float32)


def _direction(word):
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4])
    return np.random.default_rng(seed).normal(size=384)
