"""``partstream keys``: replace the credentials that the processes of the running stack prove themselves with."""

import argparse
import os
import subprocess
import sys

from chassis.process_keys import PROCESS_PERMISSIONS
from stack import stack_state
from stack.supervision.process_credentials import ProcessCredentials

EDGE_DATABASE = "PARTSTREAM_EDGE_DATABASE_URL"


def rotate(given: argparse.Namespace) -> int:
    """Rotate the key of one process or of all; with ``--revoke`` the old ones are refused at once."""
    state = stack_state.read_running(stack_state.data_folder(given.data_dir))
    credentials = ProcessCredentials(stack_state.data_folder(given.data_dir))
    for process in given.process or PROCESS_PERMISSIONS:
        old = credentials.rotate(process)
        print(f"rotated the key of {process}, the old one was {old}")
        if given.revoke:
            environment = os.environ | {EDGE_DATABASE: state.databases["edge"]}
            code = subprocess.call([sys.executable, "-m", "edge", "revoke-key", old], env=environment)
            if code:
                return code
    return 0
