from __future__ import annotations

import json
import os
import subprocess
import sys

from tilewise.process import environment

ASK = "import json, zarr; print(json.dumps(zarr.config.get('threading.max_workers')))"


def ask(code, **more):
    # other tests call the command line in this process, which settles it
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ZARR_")}
    told = subprocess.run([sys.executable, "-c", code], env=plain | more, capture_output=True, text=True, check=True)
    return json.loads(told.stdout)


def test_a_worker_command_limits_zarrs_threads():
    assert ask(ASK) is None
    assert ask(ASK, **environment(3)) == 3


def test_a_process_of_our_own_is_settled_before_zarr_is_imported():
    assert ask(f"from tilewise.process import settle; settle(); {ASK}") == os.cpu_count()


def test_what_the_user_set_stays():
    assert ask(f"from tilewise.process import settle; settle(); {ASK}", ZARR_THREADING__MAX_WORKERS="7") == 7


def test_importing_tilewise_changes_nothing():
    assert ask(f"import tilewise; tilewise.run; {ASK}") is None
