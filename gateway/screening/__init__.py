"""Guards on the path: what they look at, when, and what becomes of requests and answers then (docs/screening.md)."""
