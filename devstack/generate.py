"""``./partstream gen``: generate gen/ from protos/."""

import argparse

from devstack import generated_code


def main(arguments: list[str]) -> int:
    """Answer buf's exit code."""
    argparse.ArgumentParser(prog="partstream gen", description=__doc__).parse_args(arguments)
    return generated_code.generate()
