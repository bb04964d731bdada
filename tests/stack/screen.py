"""What a terminal shows after everything that was written to it."""

import re

TOKENS = re.compile(r"\x1b\[(\d*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+")


class Screen:
    """Knows the few control sequences that `up` uses; any other one is an error."""

    def __init__(self) -> None:
        self.lines = [""]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Show more."""
        assert TOKENS.sub("", text) == ""
        for token in TOKENS.finditer(text):
            if token[0] == "\r":
                self._column = 0
            elif token[0] == "\n":
                self._row += 1
                self.lines += [""] * (self._row + 1 - len(self.lines))
            elif token[2] is None:
                line = self.lines[self._row].ljust(self._column)
                self._column += len(token[0])
                self.lines[self._row] = line[: self._column - len(token[0])] + token[0] + line[self._column :]
            else:
                self._control(token[2], int(token[1] or 1))

    def _control(self, kind: str, number: int) -> None:
        match kind:
            case "A":
                self._row -= number
                assert self._row >= 0
            case "J":
                self.lines[self._row] = self.lines[self._row][: self._column]
                del self.lines[self._row + 1 :]
            case "m":
                pass
            case _:
                raise AssertionError(kind)
