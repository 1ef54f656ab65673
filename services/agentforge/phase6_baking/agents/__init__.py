"""The nine agents of the phase, each with a piece of work whose outcome is a file and measurements."""
