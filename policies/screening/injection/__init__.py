"""Known forms of prompt injection and jailbreak: a score by rules and weighed words, in well under a millisecond."""
