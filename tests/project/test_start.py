"""What is settled before a web process answers anybody."""

import os
import subprocess
import sys


def test_a_web_process_loads_its_views_before_the_first_call() -> None:
    code = "import sys, stoa_cp.wsgi; print('apikeys.gateway.views' in sys.modules)"
    surroundings = os.environ | {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=surroundings, check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.split()[-1:] == ["True"], ended.stderr
