"""Hardware-aware neural architecture search for time series on microcontrollers."""

__version__ = "0.1.0"
