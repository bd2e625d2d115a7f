"""What a model really does, found out in a child process: ``python -m tilewise.proof`` reads JSON and answers JSON.

The parent never parses a model: a malformed one, or one that needs too much memory or time, ends the child only.
"""

from __future__ import annotations
