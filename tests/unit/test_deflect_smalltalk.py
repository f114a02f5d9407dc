"""Greetings, thanks and goodbyes are answered where they are all that is said."""

from __future__ import annotations

import pytest

from policies.deflection.smalltalk import smalltalk
from policies.deflection.text import plain

HELLO = "Hello! How can I help you?"
WELL = "I'm doing well, thank you. How can I help you?"
WELCOME = "You're welcome!"
GLAD = "Thank you, I'm glad to be of help."
BYE = "Goodbye!"


def said(text):
    line = plain(text)
    return None if line is None else smalltalk(line)


# Some are from CLINC150 (CC BY 3.0) and HWU64 (CC BY 4.0).
@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("hi", HELLO),
        ("Hello there, good morning!", HELLO),
        ("heyyyy", HELLO),
        ("👋", HELLO),
        ("nice to meet you", HELLO),
        ("It's good to see you again!", HELLO),
        ("just wanted to say hi", HELLO),
        ("hi! are you doing okay", WELL),
        ("how ya doin", WELL),
        ("hey, what's up", WELL),
        ("whats up", WELL),
        ("I would like to know how you are doing today", WELL),
        ("thanks!", WELCOME),
        ("Thank you so much for the information.", WELCOME),
        ("thank you ever so much for that!", WELCOME),
        ("just want to say thank you", WELCOME),
        ("i appeciate it", WELCOME),
        ("thanks for helping me out today", WELCOME),
        ("that's amazing work, i appreciate it.", WELCOME),
        ("you've done it right appreciated.", WELCOME),
        ("Thanks 🙏", WELCOME),
        ("fantastic job, you did well, olly.", GLAD),
        ("well done", GLAD),
        ("it was nice to meet you", BYE),
        ("nice talking to you", BYE),
        ("you rock", GLAD),
        ("bye", BYE),
        ("good night!", BYE),
        ("i have to get going", BYE),
        ("it was enjoyable talking with you", BYE),
        ("see you later, alligator", BYE),
        ("thanks for your help, goodbye!", "You're welcome. Goodbye!"),
        ("¡Hola!", "¡Hola! ¿En qué puedo ayudarte?"),
        ("Danke schön", "Gern geschehen!"),
        ("merci beaucoup !", "De rien !"),
        ("au revoir", "Au revoir !"),
        ("谢谢", "不客气!"),
    ],
)
def test_courtesies_are_returned(message, answer):
    assert said(message) == answer


@pytest.mark.parametrize(
    "message",
    [
        "hi, can you help me with my taxes",
        "hey siri play some music",
        "hello world in rust",
        "hello kitty",
        "good morning vietnam cast",
        "hi is a word in which languages",
        "what is hello in french",
        "thanks but it still fails",
        "thanks, now do the same in Python",
        "Thank you.\nNext: write a regular expression for dates",
        "thank you for smoking",
        "write a thank you note",
        "say thank you",
        "how are you supposed to cook rice",
        "how do you do a handstand",
        "what's going on in the world today",
        "what's new in python 3.13",
        "bye bye miss american pie lyrics",
        "i have to go to the store, what should i buy",
        "see you again chords",
        "are you good at chess",
        "are you there god it's me margaret",
        "that's right",
        "yes",
        "ok",
        "please",
        "ai",
        "great",
        "peace treaty of versailles",
        "have a nice day in german",
        "i appreciate it when people are on time, how do i say so",
        "good job interview questions",
        "",
        "!!!",
    ],
)
def test_a_courtesy_with_anything_else_is_left_to_a_model(message):
    assert said(message) is None
