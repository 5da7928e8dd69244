"""Where in the user's code an operation was recorded, for anomaly mode."""

import os
import sys
import traceback

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def forward_trace() -> str:
    """The stack of calls up to the line outside this package that called it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return "".join(traceback.format_stack(frame))
