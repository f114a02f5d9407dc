"""The grammar of expressions: sums of products of powers of atoms, evaluated as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

from policies.deflection.arithmetic_tokens import Kind, Token, denominator
from policies.deflection.exact import NotComputed, bounded, power, quotient, remainder, whole_factorial
from policies.deflection.numbers import written

_NESTING_MAX = 20
_NOWHERE = Token(Kind.WORD, "")


class Asked(IntEnum):
    """How clearly a message asks for a calculation: not at all, by "what is", by "how much is", by "calculate"."""

    BARELY = 0
    AS_NAME = 1
    AS_AMOUNT = 2
    OUTRIGHT = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an expression: its exact value and how it is written; ``money``: the sign of its currency."""

    value: Fraction
    text: str
    money: str = ""
    is_percent: bool = False
    is_power: bool = False


class Parser:
    """Reads tokens from left to right, each once. Raises NotComputed where they are no expression."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.has_fraction = False
        self._nesting = 0
        self._is_closed = False  # what was read last takes all that follows into itself when spoken, so nothing may
        slashes = {token.is_tight for token in tokens if token.text == "/"} | {
            False for token in tokens if token.text in ("÷", "over")
        }
        self._may_divide = len(slashes) < 2

    def token(self, ahead: int = 0) -> Token:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else _NOWHERE

    def take(self, *words: str) -> bool:
        """Step over these words or signs, if they are next."""
        tokens, at = self.tokens, self.at
        for word in words:  # mostly the first is not: this is most of what parsing takes
            if at >= len(tokens) or tokens[at].text != word:
                return False
            at += 1
        self.at = at
        return True

    def take_any(self, *phrases: str) -> bool:
        """Step over the first of these that is next."""
        return any(self.take(*phrase.split()) for phrase in phrases)

    def must(self, *words: str) -> None:
        if not self.take(*words):
            raise NotComputed

    @property
    def is_at_end(self) -> bool:
        return self.at >= len(self.tokens)

    def end(self) -> None:
        if not self.is_at_end:
            raise NotComputed

    def sum(self) -> Piece:
        left = self.product()
        while (sign := self.token().text) in ("+", "-"):
            self._open()
            right = self.product()
            if left.is_percent or right.is_percent or left.money != right.money:  # 100 + 10% means two things
                raise NotComputed
            value = bounded(left.value + right.value if sign == "+" else left.value - right.value)
            left = Piece(value, f"{left.text} {'+' if sign == '+' else '−'} {right.text}", left.money)
        return left

    def product(self) -> Piece:
        left = self.signed()
        while (sign := self.token()).text in ("*", "x", "/", "÷", "over", "mod"):
            self._open()
            right = self.signed()
            left = self._combined(left, sign, right)
        return left

    def _combined(self, left: Piece, sign: Token, right: Piece) -> Piece:
        if sign.text in ("*", "x"):
            if left.money and right.money:
                raise NotComputed
            return Piece(
                bounded(left.value * right.value),
                f"{left.text} × {right.text}",
                left.money or right.money,
                is_power=right.is_power,
            )
        if left.is_percent or right.is_percent:
            raise NotComputed
        if sign.text == "mod":
            if left.money or right.money:
                raise NotComputed
            return Piece(remainder(left.value, right.value), f"{left.text} mod {right.text}")
        if (
            not self._may_divide
            or (right.money and right.money != left.money)
            or (sign.is_tight and (left.is_power or right.is_power))
        ):
            raise NotComputed
        is_fraction = sign.is_tight and sign.text == "/"
        self.has_fraction = self.has_fraction or is_fraction
        divisor = f"({right.text})" if "/" in right.text and not right.text.startswith("(") else right.text
        text = f"{left.text}/{divisor}" if is_fraction else f"{left.text} ÷ {divisor}"
        return Piece(quotient(left.value, right.value), text, "" if right.money else left.money)

    def signed(self) -> Piece:
        if self.take_any("-", "negative"):
            piece = self.power()
            if piece.is_power or piece.is_percent:  # -2^2 is read both ways
                raise NotComputed
            return Piece(-piece.value, f"-{piece.text}", piece.money)
        if self.token().text == "+" and self.at:
            raise NotComputed
        return self.power()

    def power(self) -> Piece:
        base = self.atom()
        exponent: Fraction | None = None
        if self.take("^"):
            sign = -1 if self.take("-") else 1
            raised = self.atom()
            if raised.money or raised.is_percent or self.token().text in ("^", "squared", "cubed"):
                raise NotComputed
            exponent = sign * raised.value
        elif self.take("squared"):
            exponent = Fraction(2)
        elif self.take("cubed"):
            exponent = Fraction(3)
        elif self.take("factorial"):
            return Piece(whole_factorial(base.value), f"{base.text}!")
        elif self.token().text == "raised" or (self.token().text == "to" and self.token(1).text in ("the", "power")):
            exponent = self._spoken_exponent()
            self._is_closed = True
        if exponent is None:
            return base
        if base.money or base.is_percent:
            raise NotComputed
        shown = base.text if base.text.isdecimal() or base.text.startswith("(") else f"({base.text})"
        return Piece(power(base.value, exponent), f"{shown}^{written(exponent).text}", is_power=True)

    def _spoken_exponent(self) -> Fraction:
        """To the 6th (power), to the power of 6, raised to the sixth."""
        self.take("raised")
        self.must("to")
        if self.take_any("the power of", "the power", "power"):
            return self._number().value
        self.must("the")
        token = self.token()
        self.at += 1
        named = {"second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9}
        if token.kind in (Kind.ORDINAL, Kind.NUMBER):
            exponent = token.value
        elif (token.text in named) or token.text == "tenth":
            exponent = Fraction(named.get(token.text, 10))
        else:
            raise NotComputed
        self.take("power")
        return exponent

    def atom(self) -> Piece:
        if self.take("("):
            self._nesting += 1
            if self._nesting > _NESTING_MAX:
                raise NotComputed
            inside = self.sum()
            self._is_closed = False
            self.must(")")
            self._nesting -= 1
            piece = Piece(inside.value, f"({inside.text})", inside.money, inside.is_percent)
        else:
            piece = self._fraction() or self._number()
        if self.take("of"):
            return self._share(piece)
        return piece

    def _share(self, piece: Piece) -> Piece:
        """Of what follows: a percentage or a fraction below ten."""
        is_share = piece.is_percent or piece.value.denominator > 1
        if piece.money or not is_share:
            raise NotComputed
        whole = self.signed()
        if whole.is_percent and not piece.is_percent:
            raise NotComputed
        self._is_closed = True
        return Piece(bounded(piece.value * whole.value), f"{piece.text} of {whole.text}", whole.money)

    def _fraction(self) -> Piece | None:
        """Half, a third, three quarters, and 3/4 where "of" follows."""
        if self.take_any("half", "a half", "one half"):
            self.take_any("a", "an")
            self.has_fraction = True
            return Piece(Fraction(1, 2), "1/2")
        first, second = self.token(), self.token(1)
        if first.text in ("a", "one") and (below := denominator(second)):
            self.at += 2
            self.has_fraction = True
            return Piece(Fraction(1, below), f"1/{below}")
        if first.kind is Kind.NUMBER and (below := denominator(second)) and first.value.denominator == 1:
            self.at += 2
            self.has_fraction = True
            return Piece(first.value / below, f"{first.value}/{below}")
        third, fourth = self.token(2), self.token(3)
        is_written = first.kind is third.kind is Kind.NUMBER and second.text == "/" and second.is_tight
        if is_written and fourth.text == "of":
            self.at += 3
            self.has_fraction = True
            value = quotient(first.value, third.value)
            return Piece(value, f"{written(first.value).text}/{written(third.value).text}")
        return None

    def _number(self) -> Piece:
        money = next((sign for sign in ("$", "€") if self.take(sign)), "")
        token = self.token()
        if token.kind is not Kind.NUMBER:
            raise NotComputed
        self.at += 1
        self.has_fraction = self.has_fraction or (
            token.value.denominator > 1 and not (token.text and token.text.isascii())
        )
        for sign in ("$", "€"):
            if self.take(f"{sign} after"):
                money = sign
        text = written(token.value).text if written(token.value).is_exact else str(token.value)
        if self.take("%"):
            if money:
                raise NotComputed
            return Piece(token.value / 100, f"{text}%", is_percent=True)
        return Piece(bounded(token.value), f"{money}{text}", money)

    def _open(self) -> None:
        if self._is_closed:
            raise NotComputed
        self.at += 1
