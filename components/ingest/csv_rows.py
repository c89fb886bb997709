"""Reads CSV as a stream of blocks.

Arrow's parser is fast and lenient: a stray quote makes it swallow rows in silence. So it is given only pieces in which
every quote opens or closes a field. Any other piece is read by Python's strict parser, which sets aside the line with
the stray quote and goes on with the next.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from components._shared.errors import DataError
from components.ingest.blocks import Block, Broken, Header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components._shared.task import CsvOptions

PIECE_BYTES = 8 << 20
_LARGEST_ROW = 64 << 20
_BOM = b"\xef\xbb\xbf"


def read_csv(stream: BinaryIO, options: CsvOptions, header: Header, where: str) -> Iterator[Block]:
    """The rows of a CSV file.

    Raises:
        DataError: The file is empty, is not UTF-8, or lacks a required column.
    """
    start = stream.read(PIECE_BYTES).removeprefix(_BOM)
    if not start.strip():
        raise DataError("The file is empty", where=where, fix="remove it from the sources, or export it again")
    if b"\0" in start[:4096]:
        raise DataError(
            "The file is not CSV: it has null bytes",
            where=where,
            fix="name its format under data.format, or convert it to UTF-8",
        )
    while b"\n" not in start and (more := stream.read(PIECE_BYTES)):
        start += more
    reader = _Reader(stream, options, where)
    names, rest = reader.first_row(start)
    present = header.check(names, where)
    yield from reader.blocks(rest, names, present)


class _Reader:
    def __init__(self, stream: BinaryIO, options: CsvOptions, where: str) -> None:
        self._stream = stream
        self._options = options
        self._where = where
        self._row = 1
        self._names: list[str] = []
        self._present: list[str] = []

    def first_row(self, start: bytes) -> tuple[list[str], bytes]:
        rows = _StrictRows(_text(start, self._where, cut=True), self._options)
        for row in rows:
            if row and not rows.problem:
                return row, start[len(rows.consumed.encode()) :]
        raise DataError("The header cannot be read", where=self._where, fix="mind its quotes")

    def blocks(self, rest: bytes, names: list[str], present: list[str]) -> Iterator[Block]:
        self._names, self._present = names, present
        ended = False
        while not ended:
            piece = self._stream.read(PIECE_BYTES)
            ended = not piece
            rest += piece
            if ended and rest and not rest.endswith(b"\n"):
                rest += b"\n"
            end, regular = _regular_end(rest, self._options)
            if regular and end:
                block = self._by_arrow(rest[:end])
                rest = rest[end:]
                if block is not None:
                    yield block
            if rest and (ended or not regular or len(rest) > _LARGEST_ROW):
                block, rest = self._strictly(rest, ended or len(rest) > _LARGEST_ROW)
                yield block

    def _by_arrow(self, piece: bytes) -> Block | None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.csv

        if not piece.strip():
            return None
        _text(piece, self._where)
        invalid: list[Any] = []

        def skip(row: Any) -> str:
            invalid.append(row)
            return "skip"

        # Rows are numbered only by a parser with one thread: the second time around, if there is anything to number.
        for threads in (True, False):
            invalid.clear()
            table = pa.csv.read_csv(
                pa.BufferReader(piece),
                read_options=pa.csv.ReadOptions(
                    column_names=[str(i) for i in range(len(self._names))],
                    block_size=len(piece) + 1,
                    use_threads=threads,
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self._options.delimiter,
                    quote_char=self._options.quote or False,
                    newlines_in_values=True,
                    invalid_row_handler=skip,
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={str(i): pa.string() for i in range(len(self._names))},
                    include_columns=[str(self._names.index(name)) for name in self._present],
                    null_values=list(self._options.null_values),
                    strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
            if not invalid:
                break
        numbers = np.array([row.number - 1 for row in invalid], dtype=np.int64)
        columns = {
            name: table.column(i).combine_chunks() if table.num_rows else pa.array([], pa.string())
            for i, name in enumerate(self._present)
        }
        broken = [
            Broken(self._row + row.number - 1, _fields(row.actual_columns, row.expected_columns), row.text)
            for row in invalid
        ]
        rows = _free_numbers(table.num_rows, numbers) + self._row
        self._row += table.num_rows + len(invalid)
        return Block(columns, rows, broken)

    def _strictly(self, piece: bytes, final: bool) -> tuple[Block, bytes]:
        import numpy as np
        import pyarrow as pa

        nulls = set(self._options.null_values)
        taken = [self._names.index(name) for name in self._present]
        rows: list[list[str]] = []
        numbers: list[int] = []
        broken: list[Broken] = []
        text = _text(piece, self._where)
        strict = _StrictRows(text, self._options, final=final)
        for row in strict:
            if strict.problem:
                broken.append(Broken(self._row, strict.problem, row[0]))
            elif not row:
                continue
            elif len(row) != len(self._names):
                broken.append(Broken(self._row, _fields(len(row), len(self._names)), self._options.delimiter.join(row)))
            else:
                rows.append(row)
                numbers.append(self._row)
            self._row += 1
        columns = {
            name: pa.array([None if row[i] in nulls else row[i] for row in rows], pa.string())
            for name, i in zip(self._present, taken, strict=True)
        }
        rest = text[len(strict.consumed) :].encode()
        return Block(columns, np.array(numbers, dtype=np.int64), broken), rest


class _StrictRows:
    """Rows of a text by Python's strict parser; a line with wrong quotes is a row by itself, with `problem` set.

    Args:
        final: Nothing follows the text, so an open quote at its end is a stray one; otherwise the row is left.
    """

    def __init__(self, text: str, options: CsvOptions, *, final: bool = True) -> None:
        self._lines = _lines(text)
        self._options = options
        self._final = final
        self._next = 0
        self._done = 0
        self.problem = ""

    @property
    def consumed(self) -> str:
        """The text of all rows given so far."""
        return "".join(self._lines[: self._done])

    def __iter__(self) -> Iterator[list[str]]:
        csv.field_size_limit(2**31 - 1)
        while self._done < len(self._lines):
            self._next = self._done
            try:
                for row in self._reader():
                    self._done = self._next
                    self.problem = ""
                    yield row
            except csv.Error as cause:
                ran_out = self._next >= len(self._lines) and "unexpected end" in str(cause)
                if ran_out and not self._final:
                    return
                self.problem = "a quote is opened and not closed" if ran_out else f"a quote is out of place: {cause}"
                line = self._lines[self._done]
                self._done += 1
                yield [line.rstrip("\r\n")]

    def _reader(self) -> Any:
        def lines() -> Iterator[str]:
            while self._next < len(self._lines):
                self._next += 1
                yield self._lines[self._next - 1]

        quoting = {"quotechar": self._options.quote} if self._options.quote else {"quoting": csv.QUOTE_NONE}
        return csv.reader(lines(), delimiter=self._options.delimiter, strict=True, **quoting)


def _lines(text: str) -> list[str]:
    """Lines that end with a line feed only; `str.splitlines` knows a dozen other ends."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _fields(found: int | None, expected: int | None) -> str:
    return f"{found} fields where the header has {expected}"


def _text(piece: bytes, where: str, *, cut: bool = False) -> str:
    """The piece as text; `cut`: it may end within a letter."""
    try:
        return piece.decode()
    except UnicodeDecodeError as cause:
        if cut and len(piece) - cause.start < 4:
            return piece[: cause.start].decode()
        line = piece[max(piece.rfind(b"\n", 0, cause.start) + 1, cause.start - 60) : cause.start + 20]
        raise DataError(
            "The file is not UTF-8 text",
            where=f"{where}, near {line.decode(errors='replace').strip()!r}",
            fix="convert it, for example: iconv -f latin1 -t utf-8",
        ) from cause


def _regular_end(piece: bytes, options: CsvOptions) -> tuple[int, bool]:
    """Where the last whole row ends, and whether every quote before it opens or closes a field."""
    import numpy as np

    quote = options.quote.encode()
    if not quote or quote not in piece:
        return piece.rfind(b"\n") + 1, True
    letters = np.frombuffer(piece, dtype=np.uint8)
    quotes = np.flatnonzero(letters == quote[0])
    end = piece.rfind(b"\n")
    while end >= 0 and (before := int(np.searchsorted(quotes, end))) % 2:
        end = piece.rfind(b"\n", 0, int(quotes[before - 1]))
    end += 1
    quotes = quotes[: np.searchsorted(quotes, end)]
    opening, closing = quotes[0::2], quotes[1::2]
    before_opening = letters[opening[opening > 0] - 1]
    after_closing = letters[closing[closing + 1 < len(letters)] + 1]
    delimiter = ord(options.delimiter)
    regular = (
        np.isin(before_opening, [delimiter, 10, quote[0]]).all()
        and np.isin(after_closing, [delimiter, 10, 13, quote[0]]).all()
    )
    return end, bool(regular)


def _free_numbers(count: int, taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first numbers from 0 that are not taken."""
    import numpy as np

    free = np.arange(count, dtype=np.int64)
    return free + np.searchsorted(taken - np.arange(len(taken)), free, side="right")
