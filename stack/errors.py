"""What can go wrong on one machine; every message is meant for the person at the terminal.

StackError
├── CopyFailed            a backup could not be written or restored
├── DataFolderBusy        another stack runs on this data folder
├── DataFolderUnusable    the data folder cannot be read or written
├── OutputRefused         a file that is to be written cannot be
├── PortTaken             something else listens on a port that was asked for
├── ServerUnavailable     a database or Redis server could not be started or reached
├── SettingsRefused       settings that a verb needs are missing or wrong
├── StackNotRunning       a verb needs a running stack and found none
└── StartFailed           a process did not become healthy
"""


class StackError(Exception):
    """A problem on this machine, said in one or a few plain sentences."""


class CopyFailed(StackError):
    """A backup could not be written or restored; what is in use is as it was."""


class DataFolderBusy(StackError):
    """Another stack holds the lock of the data folder."""


class DataFolderUnusable(StackError):
    """The data folder, or a file in it, cannot be read or written."""


class OutputRefused(StackError):
    """A file that is to be written cannot be, or must not be."""


class PortTaken(StackError):
    """A port that was asked for is in use."""


class ServerUnavailable(StackError):
    """PostgreSQL or Redis could not be started or reached."""


class SettingsRefused(StackError):
    """A setting of the environment that a verb needs is missing or wrong."""


class StackNotRunning(StackError):
    """No running stack was found by the data folder."""


class StartFailed(StackError):
    """A process did not become healthy in time or ended while starting."""

    def __init__(self, message: str, process: str = "") -> None:
        """``process`` is the name of the one whose last lines say why."""
        super().__init__(message)
        self.process = process
