"""The stack, as CDK constructs. Shares setting names with the functions, whose import root is `functions/`."""

from __future__ import annotations

import sys
from pathlib import Path

_FUNCTIONS = str(Path(__file__).parents[1] / "functions")
if _FUNCTIONS not in sys.path:
    sys.path.append(_FUNCTIONS)
