"""Text files that are not what they should be: packed and cut off, or not in UTF-8."""

import codecs
import zlib

from penstock.components.source_files.listing import SourceFile
from penstock.components.step_io.errors import StepError

CHUNK = 2**20
WIDE_BOMS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32"} | {
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_beginning(file: SourceFile, size: int) -> tuple[str, bool]:
    """Return the text of the first `size` bytes, without a byte order mark, and whether that is all of it.

    Raises:
        StepError: The file cannot be unpacked, or these bytes are not UTF-8.
    """
    try:
        with file.open() as stream:
            data = stream.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise StepError(_damage(file, error)) from error
    for mark, encoding in WIDE_BOMS.items():
        if data.startswith(mark):
            raise StepError(f"{file.name} is encoded in {encoding}: save it as UTF-8")
    whole = len(data) < size
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=whole)
    except UnicodeDecodeError as error:
        raise StepError(_invalid(file, error.start, data[error.start])) from error
    return text.removeprefix("\ufeff"), whole


def find_damage(file: SourceFile) -> str:
    """Return a sentence when the compressed file cannot be unpacked to its end, else an empty text."""
    if not file.compression:
        return ""
    try:
        with file.open() as stream:
            while stream.read(CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        return _damage(file, error)
    return ""


def find_invalid_byte(file: SourceFile) -> str:
    """Return a sentence that names the first byte that is not UTF-8, or an empty text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with file.open() as stream:
        while True:
            chunk = stream.read(CHUNK)
            kept = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return _invalid(file, offset - kept + error.start, error.object[error.start])
            if not chunk:
                return ""
            offset += len(chunk)


def _damage(file: SourceFile, error: Exception) -> str:
    if not file.compression:
        return f"{file.name} cannot be read: {error}"
    kind = {".gz": "gzip", ".zst": "Zstandard"}[file.compression]
    reason = str(error).partition("\n")[0].rstrip(".")
    return f"{file.name} is no complete {kind} file ({reason}): write it again"


def _invalid(file: SourceFile, place: int, byte: int) -> str:
    unpacked = " of the unpacked file" if file.compression else ""
    return f"{file.name} is not UTF-8: byte {place}{unpacked} is 0x{byte:02x}; save the file as UTF-8"
