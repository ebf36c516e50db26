"""The generated parts of the documents say what the schema and the program say."""

import pytest

from tests.dictionary import pages


@pytest.mark.parametrize(("page", "text", "wanted"), list(pages()), ids=lambda value: value if len(value) < 20 else "")
def test_page_is_as_generated(page: str, text: str, wanted: str) -> None:
    assert text == wanted, f"docs/{page}.md: uv run python -m tests.dictionary"
