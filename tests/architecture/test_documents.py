"""What the documents say of the code is there."""

import re
from pathlib import Path

from cli.development.documents import PACKAGES, tracked
from stack.checkout import ROOT

# `room/file.py`, `room/folder/` or `docs/file.md` between backticks.
NAMED = re.compile(rf"`((?:{'|'.join((*PACKAGES, 'tests', 'docs', 'protos'))})/[\w./-]*)`")


def test_every_file_that_a_document_names_is_there() -> None:
    documents = [Path("README.md"), Path("CONTRIBUTING.md"), *tracked("docs", ".md")]

    missing = [
        f"{document}: {name}"
        for document in documents
        for name in NAMED.findall((ROOT / document).read_text())
        if not (ROOT / name).exists()
    ]

    assert not missing
