"""Hardware-aware neural architecture search for time series on microcontrollers.

`MicroNAS` is the way in. It is imported when it is first used: `import micronas_tf` stays free of TensorFlow.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["MicroNAS", "resume"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from micronas_tf import api  # noqa: PLC0415 - imports TensorFlow

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
