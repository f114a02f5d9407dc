"""The ways in which a calculation is asked for in words: each is one form, and must take the whole question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from policies.deflection.arithmetic_parser import Asked, Parser, Piece
from policies.deflection.arithmetic_tokens import Kind, Token
from policies.deflection.exact import NotComputed, bounded, quotient, remainder, root
from policies.deflection.numbers import PI, written

_DENOMINATOR_SHOWN_MAX = 1000
_CENT = Fraction(1, 100)
_SIGNS = {
    "sum": "+",
    "total": "+",
    "average": "+",
    "mean": "+",
    "product": "×",
    "quotient": "÷",
    "difference": "−",
}


class Forms:
    """One question. Raises NotComputed where no form takes all of it."""

    def __init__(self, tokens: Sequence[Token], asked: Asked) -> None:
        self.parser = Parser(tokens)
        self.asked = asked
        self.tokens = tokens

    def answer(self) -> str:
        first = self.tokens[0].text
        if first in _FORMS:
            return _FORMS[first](self)
        return self._expression()

    def _expression(self) -> str:
        parser = self.parser
        piece = parser.sum()
        if parser.take("added", "to"):
            return self._of_list("sum", [piece, self._last(is_one_number=True)])
        if parser.take("subtracted", "from"):
            return self._from(piece)
        if parser.take("off"):
            return self._off(piece)
        if parser.take_any("= what % of", "equals what % of", "is what % of", "is what percentage of"):
            return self._share_of(piece, self._last())
        in_words = any(token.kind is Kind.NUMBER and not token.text for token in self.tokens)
        if in_words and parser.take("equals"):
            return self._comparison(piece)
        if self.asked and parser.take_any("=", "equals", "equal to", "equal"):
            return self._comparison(piece)
        parser.end()
        if len(self.tokens) == 1 or not self._is_calculation(piece):
            raise NotComputed
        return self._told(piece)

    def _is_calculation(self, piece: Piece) -> bool:
        """Something is to be done: 5, -5, 20%, $5 or two thirds are no questions."""
        return (
            not piece.is_percent
            and any(sign in piece.text for sign in (" ", "/", "^", "!"))
            and not (
                self.tokens[0].kind is Kind.NUMBER
                and len(self.tokens) == 2
                and self.tokens[1].kind is Kind.WORD
                and self.tokens[1].text not in ("squared", "cubed", "factorial")
            )
        )

    def _comparison(self, left: Piece) -> str:
        """Is 4 + 5 equal to 9? Only where one side is a number."""
        right = self._last()
        if not self._is_calculation(left) or " " in right.text or left.money != right.money:
            raise NotComputed
        return f"{'Yes' if left.value == right.value else 'No'}: {self._told(left)}"

    def _off(self, percent: Piece) -> str:
        self.parser.take("of")
        price = self._last()
        if not percent.is_percent or price.is_percent:
            raise NotComputed
        piece = Piece(price.value * (1 - percent.value), f"{percent.text} off {price.text}", price.money)
        return self._told(piece)

    def sum_of(self) -> str:
        """The sum, product, average, difference or quotient of what is listed; total is another word for sum."""
        name = self.parser.token().text
        self.parser.at += 1
        # "The difference between 301 and 302" may be one of things that have numbers for names.
        is_of_numbers = self.asked is Asked.OUTRIGHT or all(
            not token.text for token in self.tokens if token.kind is Kind.NUMBER
        )
        if not (name == "difference" and is_of_numbers and self.parser.take("between")):
            self.parser.must("of")
        return self._of_list("sum" if name == "addition" else name, self._list())

    def add(self) -> str:
        parser = self.parser
        parser.take("add")
        parser.take_any("up", "together")
        pieces = self._list(ending=("to", "together", "up"))
        if len(pieces) == 1 and parser.take("to"):
            return self._added_to(pieces[0])
        if len(pieces) == 1 and parser.is_at_end and "+" in pieces[0].text:
            return self._told(pieces[0])
        parser.take_any("together", "up")
        return self._of_list("sum", pieces)

    def _added_to(self, piece: Piece) -> str:
        """Add 5 to 7; also to 7 plus 8, as only sums are asked for."""
        whole = self._last()
        if " " in piece.text or any(sign in whole.text for sign in "×÷%/^−"):
            raise NotComputed
        if " " not in whole.text:
            return self._of_list("sum", [whole, piece])
        if whole.money != piece.money:
            raise NotComputed
        return self._told(Piece(bounded(whole.value + piece.value), f"{whole.text} + {piece.text}", whole.money))

    def raised(self) -> str:
        """Raise 2 to the power of 5."""
        self.parser.take("raise")
        return self._expression()

    def subtract(self) -> str:
        parser = self.parser
        parser.at += 1
        parser.take("away")
        parser.take("of")
        right = self._operand()
        if right.is_percent and parser.take("off"):
            return self._off(right)
        parser.take("away")
        parser.must("from")
        return self._from(right)

    def _from(self, right: Piece) -> str:
        left = self._last(is_one_number=True)
        if left.money != right.money or left.is_percent or right.is_percent:
            raise NotComputed
        return self._told(Piece(left.value - right.value, f"{left.text} − {right.text}", left.money))

    def multiply(self) -> str:
        parser = self.parser
        parser.at += 1
        parser.take("of")
        pieces = self._list(ending=("by", "with", "together"))
        if len(pieces) == 1 and parser.take_any("by", "with", "and"):
            pieces.append(self._last())
        else:
            parser.take("together")
        return self._of_list("product", pieces)

    def divide(self) -> str:
        parser = self.parser
        is_split = parser.take("split")
        if not is_split:
            parser.at += 1
            parser.take("of")
        left = self._operand()
        if not is_split and parser.take_any("by", "buy"):
            right = self._last()
        else:
            parser.take_any("into", "in", "among")
            right = self._operand()
            parser.take_any("equal", "even")
            if not parser.take_any("parts", "ways", "pieces"):
                raise NotComputed
        return self._of_list("quotient", [left, right])

    def square_root(self) -> str:
        """Square root of, cube root of, root of, √."""
        parser = self.parser
        degree = 3 if parser.take_any("cube", "cubed") else 2
        parser.take_any("square", "squared")
        if not parser.take("√"):
            parser.must("root")
            parser.must("of")
        radicand = Piece(PI, "π") if parser.take("pi") else self.parser.signed()
        parser.end()
        if radicand.money or radicand.is_percent:
            raise NotComputed
        _, shown = root(radicand.value, degree)
        return f"{'√' if degree == 2 else '∛'}{radicand.text} {shown.equals}"

    def square(self) -> str:
        """The square of 5; its root is asked for with the same word."""
        parser = self.parser
        is_square = parser.token().text == "square"
        if parser.token(1).text != "of":
            return self.square_root()
        parser.at += 2
        base = self._last(is_one_number=True)
        if base.money or base.is_percent or not base.text.isdecimal():
            raise NotComputed
        degree = 2 if is_square else 3
        return self._told(Piece(bounded(base.value**degree), f"{base.text}^{degree}"))

    def remainder(self) -> str:
        """The remainder when, if or of A (is) divided by B."""
        parser = self.parser
        parser.take("remainder")
        if not parser.take_any("when", "if", "of"):
            raise NotComputed
        left = self._operand()
        parser.take("is")
        parser.must("÷")
        right = self._last(is_one_number=True)
        value = remainder(left.value, right.value)
        return f"{left.text} ÷ {right.text} = {left.value // right.value}, remainder {value}"

    def times(self) -> str:
        """How many times does 8 go into 2000, how many times can 3 be divided into 1253."""
        parser = self.parser
        parser.at += 1
        parser.must("many")
        if not parser.take_any("times", "*") or not parser.take_any("does", "can", "do", "will"):
            raise NotComputed
        right = self._operand()
        if not parser.take_any("be divided into", "go into", "goes into", "fit into", "fit in"):
            raise NotComputed
        left = self._last(is_one_number=True)
        told = self._of_list("quotient", [left, right])
        if any(one.value.denominator > 1 or one.value <= 0 for one in (left, right)):
            return told
        whole, rest = divmod(left.value, right.value)
        return f"{told}: {whole} times, remainder {rest}" if rest else told

    def percent_of(self) -> str:
        """What percent of 50 is 10."""
        parser = self.parser
        parser.at += 1
        parser.must("of")
        whole = self._operand()
        parser.must("is")
        return self._share_of(self._last(), whole)

    def _share_of(self, part: Piece, whole: Piece) -> str:
        if part.money != whole.money or part.is_percent or whole.is_percent:
            raise NotComputed
        share = written(quotient(part.value, whole.value) * 100)
        return f"{part.text} is {'' if share.is_exact else 'about '}{share.text}% of {whole.text}"

    def multiple(self) -> str:
        """Double, twice or triple a number."""
        factor = 3 if self.parser.token().text == "triple" else 2
        self.parser.at += 1
        whole = self._last(is_one_number=True)
        if whole.is_percent:
            raise NotComputed
        return self._told(Piece(bounded(factor * whole.value), f"{factor} × {whole.text}", whole.money))

    def factorial(self) -> str:
        self.parser.at += 1
        self.parser.must("of")
        number = self._last(is_one_number=True)
        return Forms(
            [Token(Kind.NUMBER, number.text, number.value), Token(Kind.WORD, "factorial")], Asked.OUTRIGHT
        ).answer()

    def _operand(self) -> Piece:
        return self.parser.signed()

    def _last(self, *, is_one_number: bool = False) -> Piece:
        """What ends the question."""
        parser = self.parser
        piece = parser.signed() if is_one_number else parser.sum()
        parser.end()
        return piece

    def _list(self, ending: tuple[str, ...] = ()) -> list[Piece]:
        """A, B and C."""
        parser = self.parser
        pieces = [parser.sum()]
        while not parser.is_at_end and parser.token().text not in ending:
            is_joined = parser.take(",")
            if not (parser.take("and") or is_joined):
                raise NotComputed
            pieces.append(parser.sum())
        return pieces

    def _of_list(self, name: str, pieces: list[Piece]) -> str:
        """What becomes of all of them together."""
        self.parser.end()
        sign = _SIGNS[name]
        if len(pieces) == 1 and name in ("sum", "total", "product") and f" {sign} " in pieces[0].text:
            return self._told(pieces[0])  # the sum of 3 plus 5
        is_sum = name in ("sum", "total")
        # "One hundred and five and six" may be two numbers or three: only of a sum of two it does not matter.
        has_and = any(token.has_and for token in self.tokens) and (not is_sum or len(pieces) != 2)
        if len(pieces) < 2 or has_and or any(piece.is_percent or " " in piece.text for piece in pieces):
            raise NotComputed
        text = f" {sign} ".join(piece.text for piece in pieces)
        monies = {piece.money for piece in pieces}
        values = [piece.value for piece in pieces]
        first, last = pieces[0], pieces[-1]
        if name == "product" and monies == {""}:
            return self._told(Piece(_product(values), text))
        if name == "quotient" and len(pieces) == 2 and not last.money:
            return self._told(Piece(quotient(first.value, last.value), text, first.money))
        if name == "difference" and len(pieces) == 2 and first.value >= last.value and len(monies) == 1:
            return self._told(Piece(first.value - last.value, text, first.money))
        if len(monies) > 1 or name in ("product", "quotient", "difference"):
            raise NotComputed
        total = bounded(sum(values, Fraction(0)))
        if is_sum:
            return self._told(Piece(total, text, first.money))
        return self._told(Piece(bounded(total / len(values)), f"({text}) ÷ {len(values)}", first.money))

    def _told(self, piece: Piece) -> str:
        """The expression and its value, which is marked where it is rounded."""
        value = piece.value
        if piece.money:
            shown = written(abs(value), places=2 if not value or abs(value) >= _CENT else None)
            whole, point, cents = shown.text.partition(".")
            amount = f"{'-' if value < 0 else ''}{piece.money}{whole}{point}{cents:0<{2 if point else 0}}"
            return f"{piece.text} {'=' if shown.is_exact else '≈'} {amount}"
        shown = written(value)
        is_short = 1 < value.denominator <= _DENOMINATOR_SHOWN_MAX and abs(value.numerator) <= _DENOMINATOR_SHOWN_MAX
        if is_short and (self.parser.has_fraction or not shown.is_exact) and f"{value}" != piece.text:
            return f"{piece.text} = {value} {shown.equals}"
        return f"{piece.text} {shown.equals}"


def _product(values: Sequence[Fraction]) -> Fraction:
    product = Fraction(1)
    for one in values:
        product = bounded(product * one)
    return product


_FORMS: dict[str, Callable[[Forms], str]] = {
    **dict.fromkeys(("sum", "total", "product", "average", "mean", "difference", "quotient", "addition"), Forms.sum_of),
    "add": Forms.add,
    "raise": Forms.raised,
    **dict.fromkeys(("subtract", "subract", "subtraction", "deduct", "take"), Forms.subtract),
    **dict.fromkeys(("multiply", "multiplication"), Forms.multiply),
    **dict.fromkeys(("divide", "division", "split"), Forms.divide),
    **dict.fromkeys(("square", "cube", "squared", "cubed"), Forms.square),
    **dict.fromkeys(("√", "root"), Forms.square_root),
    "remainder": Forms.remainder,
    "how": Forms.times,
    **dict.fromkeys(("percent", "%", "percentage"), Forms.percent_of),
    **dict.fromkeys(("double", "twice", "triple"), Forms.multiple),
    "factorial": Forms.factorial,
}
