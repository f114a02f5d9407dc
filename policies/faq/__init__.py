"""Which question of a team's own list a message asks, if any: by vectors, words, polarity and kind of question."""
