"""Settings keep their names, readers and defaults within a major version."""

from dataclasses import MISSING

from stack.supervision.all_settings import every_setting
from tests.compatibility.baseline import changes


def test_no_setting_is_removed_or_made_required(renew_baselines: bool) -> None:
    current = {
        f"{reader} {setting.name}": "required" if default is MISSING else "optional"
        for reader, setting, default in every_setting()
    }

    assert changes("settings", current, renew=renew_baselines) == []
