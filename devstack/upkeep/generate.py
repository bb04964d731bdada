"""``./partstream gen``: generate gen/ from protos/, and the map and the settings table from the code."""

import argparse

from devstack.upkeep import documents, generated_code


def main(arguments: list[str]) -> int:
    """Answer buf's exit code."""
    argparse.ArgumentParser(prog="partstream gen", description=__doc__).parse_args(arguments)
    documents.write()
    return generated_code.generate()
