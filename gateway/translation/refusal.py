"""The refusal of a field that cannot be carried, whose place is put together only when it is refused."""

from __future__ import annotations

from gateway.errors import BadRequest


class Refusal(Exception):
    """Raised where the field is known by its last name; whoever stands further out adds what comes before.

    ``text`` says ``{}`` where the name of the field belongs.
    """

    def __init__(self, field: str, text: str, code: str) -> None:
        super().__init__(text)
        self._field = field
        self._text = text
        self._code = code

    def within(self, place: str) -> Refusal:
        """The same, seen from further out."""
        return Refusal(f"{place}.{self._field}" if self._field else place, self._text, self._code)

    def as_bad_request(self) -> BadRequest:
        return BadRequest(self._text.replace("{}", f"'{self._field}'"), param=self._field, code=self._code)
