"""Where the code is: the checkout, or the folder that the package is installed in."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IS_CHECKOUT = (ROOT / "pyproject.toml").is_file()
# How a person here calls the command line.
COMMAND = "./partstream" if IS_CHECKOUT else "partstream"
