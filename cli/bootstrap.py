"""The start of every command: checks the call, prepares the environment from a lock file, runs the command in it.

Standard library only, and syntax that an old Python reads too: it must be able to report that it is too old.
Two places of use: a checkout, whose environment is ``.venv`` beside the code; and the installed package, which has no
dependencies of its own and keeps its environment in the user's data folder, so that it installs the lock as well.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

OLDEST, NEWEST = (3, 11), (3, 14)  # the Pythons that every locked requirement has wheels for
PROGRAM = "partstream"
ROOT = Path(__file__).resolve().parent.parent
STAMP = "partstream-stamp"
RUNTIME, DEVELOPMENT = "runtime", "development"
PIPED_STEP = 25  # packages between two lines of progress where there is no terminal
# What a package installer prints, and what a person can do about it.
NETWORK_ADVICE = "Check the network and the package index, then run the command again"
ADVICE = (
    ("Retrying (", NETWORK_ADVICE),  # pip, for every kind of connection failure; it then reports a missing release
    ("error sending request", NETWORK_ADVICE),  # uv
    ("No space left", "Free some disk space and run the command again"),
    ("DO NOT MATCH THE HASHES", "The package index serves other files than the lock names: use another index"),
    ("Hash mismatch", "The package index serves other files than the lock names: use another index"),
    ("No matching distribution", "Use a supported system and Python (README: Supported systems), or another index"),
    ("no wheels", "Use a supported system and Python (README: Supported systems), or another index"),
    ("ermission denied", "Give this user write access, or use another folder"),
)


class Place:
    """Where the code, the lock files and the environment are."""

    def __init__(self, root: Path) -> None:
        """Find the place of a checkout, or of an installed package."""
        self.root = root
        self.is_checkout = is_checkout(root)
        if self.is_checkout:
            locks, self.venv = root, root / ".venv"
        else:
            locks = Path(sys.prefix) / "share" / PROGRAM
            data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
            lock = digest(locks / "requirements.txt")[:12]
            name = "environment-%d.%d-%s" % (sys.version_info[0], sys.version_info[1], lock)
            self.venv = Path(data) / PROGRAM / name
        self.locks = {RUNTIME: locks / "requirements.txt", DEVELOPMENT: locks / "requirements-dev.txt"}
        self.python = self.venv / "bin" / "python"
        self.log = self.venv.with_name(self.venv.name + ".log")


def main(arguments: "list[str]", root: Path = ROOT) -> "NoReturn":
    """Run a command; does not return when the call is right."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        run_with_another_python(arguments)
    from cli import tree  # noqa: PLC0415 - its syntax may be too new for the Python that got this far

    given = tree.parse(arguments)
    if given.needs == DEVELOPMENT and not is_checkout(root):
        sys.exit("%s: this command needs a checkout of the repository, not the installed package." % given.parser.prog)
    place = Place(root)
    try:
        prepare_environment(place, given.needs, given.parser.prog)
    except OSError as error:
        sys.exit("%s: the environment %s cannot be prepared: %s" % (PROGRAM, place.venv, error))
    if not place.is_checkout:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    become([str(place.python), "-m", "cli"] + list(arguments))


def console_script() -> int:
    """Run the installed ``partstream``."""
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


def run_with_another_python(arguments: "list[str]") -> None:
    """Start again with a supported Python on PATH, or say what is needed."""
    script = str(Path(sys.argv[0]).resolve())
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        other = shutil.which("python3.%d" % minor)
        if other and subprocess.call([other, "-c", "import venv"], stderr=subprocess.DEVNULL) == 0:
            become([other, script] + list(arguments))
    sys.exit(
        "Partstream needs Python %d.%d to %d.%d; this is Python %d.%d (%s), and PATH has no other."
        % (OLDEST + NEWEST + sys.version_info[:2] + (sys.executable,))
    )


def is_checkout(root: Path) -> bool:
    """Return whether the code lies in a checkout, and not where packages are installed."""
    return (root / "pyproject.toml").is_file()


def become(command: "list[str]") -> "NoReturn":
    """Replace this process."""
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def prepare_environment(place: "Place", needs: str, caller: str) -> None:
    """Install what the lock names, and nothing else, unless that is what the environment holds already."""
    if is_prepared(place, needs):
        return
    # A terminated start ends the installer as well: it would write into the environment that the next start makes.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place.venv.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(place):
        if not is_prepared(place, needs):
            install(place, needs, caller)
    signal.signal(signal.SIGTERM, before)


def is_prepared(place: "Place", needs: str) -> bool:
    """Return whether the environment holds what is needed, made here from these locks."""
    held = read_stamp(place)
    wanted = stamp(place, needs)
    return held[:2] == wanted[:2] and (needs == RUNTIME or held[2:] == wanted[2:])


def stamp(place: "Place", needs: str) -> "list[str]":
    """Return what an environment is made of: its place, the runtime lock and, if installed, the development lock."""
    development = [digest(place.locks[DEVELOPMENT])] if needs == DEVELOPMENT else []
    return [str(place.root) if place.is_checkout else "", digest(place.locks[RUNTIME])] + development


def read_stamp(place: "Place") -> "list[str]":
    """Return what the environment was made of; empty when there is none or it is incomplete."""
    try:
        lines = (place.venv / STAMP).read_text().splitlines()
    except OSError:
        return []
    return lines if os.access(str(place.python), os.X_OK) else []


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextlib.contextmanager
def one_at_a_time(place: "Place") -> "Iterator[None]":
    """Let two commands that start at once prepare the environment once."""
    with place.venv.with_name(place.venv.name + ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(place: "Place", needs: str, caller: str) -> None:
    """Create the environment and install a lock; an environment of the same runtime lock is only added to."""
    if place.venv.is_symlink():
        # Creating an environment clears the folder first, and a link leads to one that was made for something else.
        sys.exit(
            "%s: %s is a link, to an environment that was not made for this folder: remove the link."
            % (PROGRAM, place.venv)
        )
    is_kept = read_stamp(place) == stamp(place, RUNTIME)
    if needs == DEVELOPMENT:
        show("`%s` needs the development requirements (tests, linters, load generator) too" % caller)
    started = time.monotonic()
    place.log.write_text("")
    if not (install_with_uv(place, needs, is_kept=is_kept) or install_with_pip(place, needs, is_kept=is_kept)):
        fail(place)
    if place.is_checkout:
        write_import_paths(place)
    (place.venv / STAMP).write_text("\n".join(stamp(place, needs)))
    show("%d packages installed in %.0f s" % (locked_packages(place, needs), time.monotonic() - started))


def install_with_uv(place: "Place", needs: str, *, is_kept: bool) -> bool:
    """Install with uv, if it is there: five to ten times faster than pip. False when it is not, or when it fails."""
    uv = shutil.which("uv")
    if uv is None or subprocess.call([uv, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0:
        return False
    if not is_kept:
        show("creating %s with Python %d.%d" % ((place.venv.name,) + sys.version_info[:2]))
        if run(place, [uv, "venv", "--clear", "--python", sys.executable, str(place.venv)]) != 0:
            return False
    show("installing %d locked packages with uv" % locked_packages(place, needs))
    command = [uv, "pip", "install", "--no-deps", "--require-hashes", "--python", str(place.python)]
    if run(place, command + ["-r", str(place.locks[needs])]) == 0:
        return True
    show("uv could not install the requirements; trying pip")
    return False


def install_with_pip(place: "Place", needs: str, *, is_kept: bool) -> bool:
    """Install with the pip of a new environment, or of one that has pip."""
    if not is_kept or not (place.venv / "bin" / "pip").exists():
        show("creating %s with Python %d.%d" % ((place.venv.name,) + sys.version_info[:2]))
        if run(place, [sys.executable, "-m", "venv", "--clear", str(place.venv)]) != 0:
            sys.exit(
                "%s: Python could not create a virtual environment.\n"
                "On Debian and Ubuntu, install the package python3-venv. Full output: %s" % (PROGRAM, place.log)
            )
    # Bytecode is written when a module is first imported: for all of them it would take 20 s and 80 MB.
    options = ["--no-deps", "--require-hashes", "--no-compile", "--disable-pip-version-check", "--no-input"]
    command = [str(place.python), "-m", "pip", "install", "--progress-bar", "off"] + options
    return run(place, command + ["-r", str(place.locks[needs])], locked_packages(place, needs)) == 0


def run(place: "Place", command: "list[str]", packages: int = 0) -> int:
    """Run an installer with its output in the log file, showing how many packages pip has fetched."""
    fetched = 0
    with (
        place.log.open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process,
    ):
        try:
            for line in process.stdout or ():
                log.write(line)
                if line.startswith((b"Collecting ", b"Processing ")):  # from an index, from a folder
                    fetched += 1
                    show("fetching requirements: %d of %d" % (fetched, packages), fetched, packages)
                elif line.startswith(b"Installing collected"):
                    show("installing what was fetched")
        except BaseException:
            process.terminate()
            raise
        return process.wait()


def fail(place: "Place") -> "NoReturn":
    """End with two lines: what went wrong, and what to do."""
    output = place.log.read_text(errors="replace")
    errors = re.findall(r"^\s*(?:ERROR|error|Caused by):?\s*(.+)$", output, re.MULTILINE)
    reason = errors[-1].strip() if errors else "the installer gave no reason"
    advice = next((text for sign, text in ADVICE if sign in output), NETWORK_ADVICE)
    sys.exit(
        "%s: the requirements could not be installed: %s\n%s. Full output: %s"
        % (PROGRAM, reason[:200], advice, place.log)
    )


def locked_packages(place: "Place", needs: str) -> int:
    """Return how many packages a lock names; a few of them may be for other systems."""
    return len(re.findall(r"^[A-Za-z0-9][^ ]*==", place.locks[needs].read_text(), re.MULTILINE))


def show(text: str, number: int = 0, total: int = 0) -> None:
    """Show progress. A counting line overwrites itself on a terminal; elsewhere a few of them are shown."""
    is_counting = 0 < number < total
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K%s: %s%s" % (PROGRAM, text, "" if is_counting else "\n"))
    elif not is_counting or number == 1 or number % PIPED_STEP == 0:
        sys.stderr.write("%s: %s\n" % (PROGRAM, text))
    sys.stderr.flush()


def write_import_paths(place: "Place") -> None:
    """Let Python find the packages of the checkout and the generated contracts."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = subprocess.check_output([str(place.python), "-c", ask]).decode().strip()
    (Path(folder) / "partstream.pth").write_text("%s\n%s\n" % (place.root, place.root / "gen"))
