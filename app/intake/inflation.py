"""Unpacking gzip piece by piece: a small body must not become a large one in memory or on disk."""

import zlib
from collections.abc import Iterable, Iterator

from models.errors import ExpandsTooMuch, MalformedEncoding

GZIP = 16 + zlib.MAX_WBITS
PIECE = 1 << 16
# Up to here the ratio says nothing: a short list of similar names packs very well.
FREE = 1 << 20


def inflated(parts: Iterable[bytes], *, max_bytes: int, max_ratio: int) -> Iterator[bytes]:
    """What gzip `parts` hold, in pieces of limited size.

    Raises `ExpandsTooMuch`, and `MalformedEncoding` if it is not gzip, or not all of it.
    """
    unpacking = zlib.decompressobj(GZIP)
    came = made = 0
    for part in parts:
        came += len(part)
        left = part
        while left:
            if unpacking.eof:
                # RFC 1952, 2.2: members may follow one another.
                unpacking = zlib.decompressobj(GZIP)
            try:
                piece = unpacking.decompress(left, PIECE)
            except zlib.error:
                raise _malformed() from None
            left = unpacking.unconsumed_tail or unpacking.unused_data
            made += len(piece)
            _require_modest(came, made, max_bytes, max_ratio)
            yield piece
    if not unpacking.eof:
        raise _malformed()


def _require_modest(came: int, made: int, max_bytes: int, max_ratio: int) -> None:
    if made > max_bytes:
        raise ExpandsTooMuch(
            f"The body expands to more than the limit of {max_bytes} bytes. Send the sample IDs in "
            "several requests."
        )
    if made > FREE and made > max_ratio * came:
        raise ExpandsTooMuch(
            f"The body expands to more than {max_ratio} times its size. Send it uncompressed, or "
            "less compressed."
        )


def _malformed() -> MalformedEncoding:
    return MalformedEncoding("The body is not gzip, or it is cut off. Compress it anew.")
