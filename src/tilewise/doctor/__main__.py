"""The process that a device is tried in: ``python -m tilewise.doctor DEVICE``."""

from __future__ import annotations

import sys

from tilewise.doctor.trial import run_trial

print(run_trial(sys.argv[1]))
