"""Text from elsewhere, made fit to be shown."""


def printable(text: str) -> str:
    """Give the text without what could move a terminal's cursor or fake another line: such characters are escaped."""
    return text if text.isprintable() else repr(text)[1:-1]
