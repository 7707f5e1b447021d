"""The exceptions of micronas-tf.

Every message states the rule, what was received, and the remedy. The command line turns any
`MicronasError` into its message and the `exit_code` of its class, without a traceback.
"""


class MicronasError(Exception):
    """Base of every error that micronas-tf raises on purpose."""

    exit_code = 2


class DataError(MicronasError):
    """A dataset cannot be used as it is: unreadable, wrong shape, NaN, one class, …"""


class SpaceError(MicronasError):
    """A window shape or configuration has no search space, or an architecture is not in it."""


class CostError(MicronasError):
    """A cost cannot be given: no latency for an operator, a malformed lookup table, …"""


class BoardError(MicronasError):
    """A board is unknown, or cannot do what was asked of it."""


class DeviceError(MicronasError):
    """A board, its port, its firmware or its emulator does not do what it should."""


class ModelError(MicronasError):
    """A Keras model or flatbuffer holds something outside the known operators."""


class BudgetError(MicronasError):
    """The promise does not hold: no architecture, or not this one, fits the budget."""

    exit_code = 1


class RunError(MicronasError):
    """A run directory cannot be written, read or resumed."""
