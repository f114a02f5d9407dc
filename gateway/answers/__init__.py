"""Answers that no model is asked for: kept ones, looked for, noted down and told again."""
