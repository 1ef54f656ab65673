"""What can go wrong on the device, in words for whoever reads the log."""


class EdgeError(Exception):
    """A failure that the runtime foresaw."""


class ContextFull(EdgeError):
    """More tokens than the model's context holds."""


class NotPossible(EdgeError):
    """A backend that was asked for cannot run here."""


class BrokenPackage(EdgeError):
    """A file of the package is missing or is not what it should be."""
