"""RESULTS.md: what was measured last, each part between two marks of its own."""

from pathlib import Path
from textwrap import fill

FILE = Path(__file__).parent / "RESULTS.md"
WIDTH = 140
# a heading, a table and a list stay as they are
SHAPED = ("#", "|", "-")


def keep(part: str, text: str) -> None:
    """Write the part anew; a part the file does not have yet goes to its end."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    before, _, rest = FILE.read_text().partition(begin)
    after = rest.partition(end)[2] or "\n"
    paragraphs = [one if one.startswith(SHAPED) else fill(one, WIDTH) for one in text.strip().split("\n\n")]
    FILE.write_text("\n\n".join([before.rstrip(), begin, *paragraphs, end]) + after)
    print(f"Written to {FILE.name}.")
