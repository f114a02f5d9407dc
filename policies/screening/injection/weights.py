"""What rules weigh: written by `make screening`, from public and composed texts (deploy/screening/SOURCES.md)."""

from __future__ import annotations

# Their sum with BIAS is the log odds.
WEIGHTS = {
    "override_prior": 2.848,
    "override_all": 0.927,
    "override": 1.872,
    "new_task": 3.083,
    "reveal_prompt": 3.857,
    "reveal_secret": 1.857,
    "persona": 2.492,
    "act_as": 0.545,
    "unbound": 2.138,
    "no_ethics": 0.901,
    "unbound_model": 2.743,
    "do_anything": 1.773,
    "mode": 2.359,
    "two_answers": 2.038,
    "no_refusal": 2.387,
    "coerced_answer": 1.554,
    "pwned": 2.049,
    "authority": 1.049,
    "safety_off": 3.187,
    "to_the_model": 3.327,
    "edits_answer": 3.215,
    "inserts_code": 2.884,
    "agreed": 0.104,
    "decode": 1.930,
    "fiction": 1.764,
    "asks": -1.366,
    "person_overrides": -0.324,
    "about_it": -3.037,
    "chat_mark": 3.155,
    "system_line": 1.663,
    "section": 1.489,
    "named_persona": 1.510,
    "payload": 1.199,
    "run_payload": 0.687,
    "exfiltrates": 2.449,
    "token_game": 0.506,
    "answers_tag": 0.839,
    "braces": 1.485,
    "quotes_it": -0.408,
    "ordered_payload": 2.629,
    "document_edit": 1.988,
    "document_code": 1.584,
    "disguised_override": 2.000,
    "persona_unbound": 0.745,
    "mode_unbound": 0.137,
    "encoded": 1.525,
    "disguised": 0.386,
    "ciphered": 2.422,
}
BIAS = -1.198
# Scores from which a text is looked at more closely, and from which it may be refused at once.
ESCALATE_AT = 0.7776
BLOCK_AT = 0.9515
