"""RFC 8259 read character by character, as strictly as R1 reads it."""

from __future__ import annotations

import struct
from typing import Any

LEVELS = 100


class No(Exception):
    """The text is not JSON as R1 reads it."""


class Reader:
    """RFC 8259, one character after the other; a key twice, a non-finite number and 101 levels are refused."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def whole(self) -> Any:
        value = self.value(0)
        self.space()
        if self.at != len(self.text):
            raise No
        return value

    def space(self) -> None:
        while self.peek() in (" ", "\t", "\n", "\r"):
            self.at += 1

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self, wanted: str) -> bool:
        if self.text.startswith(wanted, self.at):
            self.at += len(wanted)
            return True
        return False

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise No

    def value(self, level: int) -> Any:
        self.space()
        for word, meaning in (("true", True), ("false", False), ("null", None)):
            if self.take(word):
                return meaning
        match self.peek():
            case "{":
                return self.table(level + 1)
            case "[":
                return self.items(level + 1)
            case '"':
                return self.string()
        return self.number()

    def table(self, level: int) -> dict[str, Any]:
        if level > LEVELS:
            raise No
        self.need("{")
        found: dict[str, Any] = {}
        self.space()
        if self.take("}"):
            return found
        while True:
            self.space()
            key = self.string()
            if key in found:
                raise No
            self.space()
            self.need(":")
            found[key] = self.value(level)
            self.space()
            if self.take("}"):
                return found
            self.need(",")

    def items(self, level: int) -> list[Any]:
        if level > LEVELS:
            raise No
        self.need("[")
        found: list[Any] = []
        self.space()
        if self.take("]"):
            return found
        while True:
            found.append(self.value(level))
            self.space()
            if self.take("]"):
                return found
            self.need(",")

    def string(self) -> str:
        self.need('"')
        units: list[int] = []  # UTF-16, so that a pair of escapes becomes one character
        while not self.take('"'):
            char = self.peek()
            if char == "" or ord(char) < 32:
                raise No
            self.at += 1
            if char != "\\":
                raw = char.encode("utf-16-le", "surrogatepass")
                # A raw half must not pair with an escaped one: Python keeps the two apart.
                units += [-u - 1 if 0xD800 <= u < 0xE000 and len(raw) == 2 else u for u in halves(raw)]
                continue
            escape = self.peek()
            self.at += 1
            if escape == "u":
                digits = self.text[self.at : self.at + 4]
                if len(digits) < 4 or any(d not in "0123456789abcdefABCDEF" for d in digits):
                    raise No
                self.at += 4
                units.append(int(digits, 16))
            elif escape and escape in '"\\/bfnrt':
                units.append(ord('"\\/\b\f\n\r\t'['"\\/bfnrt'.index(escape)]))
            else:
                raise No
        return joined(units)

    def number(self) -> int | float:
        begin = self.at
        self.take("-")
        if not self.take("0"):
            self.digits()
        is_float = False
        if self.take("."):
            is_float = True
            self.digits()
        if self.peek() in ("e", "E"):
            is_float = True
            self.at += 1
            if not self.take("+"):
                self.take("-")
            self.digits()
        text = self.text[begin : self.at]
        if not is_float:
            return int(text)
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise No
        return value

    def digits(self) -> None:
        begin = self.at
        while self.peek() != "" and self.peek() in "0123456789":
            self.at += 1
        if self.at == begin:
            raise No


def halves(raw: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(raw) // 2}H", raw))


def joined(units: list[int]) -> str:
    text, at = "", 0
    while at < len(units):
        one = units[at]
        two = units[at + 1] if at + 1 < len(units) else 0
        if 0xD800 <= one < 0xDC00 and 0xDC00 <= two < 0xE000:
            text += chr(0x10000 + ((one - 0xD800) << 10) + (two - 0xDC00))
            at += 2
        else:
            text += chr(one if one >= 0 else -one - 1)
            at += 1
    return text
