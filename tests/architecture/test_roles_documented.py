"""The manual says who may do what, exactly as the code does."""

from __future__ import annotations

import pytest

from tests.architecture.roles_document import DOCUMENTS, render, written


@pytest.mark.parametrize("language", DOCUMENTS)
def test_the_manual_has_the_table_of_roles(language: str) -> None:
    text = DOCUMENTS[language].read_text(encoding="utf-8")
    assert written(text) == render(language), "python -m tests.architecture.roles_document writes it"
