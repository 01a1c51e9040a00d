"""Media types: what a body is, and what the client accepts (RFC 9110 sections 8.3 and 12.5.1)."""

JSON = "application/json"
FORM = "multipart/form-data"


def content_type_fault(content_type: str | None, taken: tuple[str, ...]) -> str | None:
    """Say why a body of this type is not taken, None where it is.

    A missing type is not guessed: a web page may send a body without one to a server on loopback without asking
    first, one of `application/json` it may not.
    """
    if content_type is None:
        return f"a Content-Type is needed; this operation takes {', '.join(taken)}"
    media_type, *parameters = (part.strip() for part in content_type.split(";"))
    if media_type.lower() not in taken:
        return f"Content-Type {media_type[:64]!r} is not taken; this operation takes {', '.join(taken)}"
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8", "us-ascii"}:
            return f"charset {value.strip()[:32]!r} is not taken; JSON is UTF-8"
    return None


def accepts(accept: str | None, media_type: str) -> bool:
    """Say whether an answer of this type is acceptable; the most specific range that matches decides."""
    if accept is None or accept in {"*/*", media_type, ""}:
        return True
    best = (-1, 1.0)
    for entry in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
        rank = _specificity(media_range, media_type)
        if rank > best[0]:
            best = (rank, _quality(parameters))
    return best[0] >= 0 and best[1] > 0


def _specificity(media_range: str, media_type: str) -> int:
    if media_range == media_type:
        return 2
    if media_range == f"{media_type.partition('/')[0]}/*":
        return 1
    return 0 if media_range == "*/*" else -1


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0  # malformed: read as if it were not there
    return 1.0
