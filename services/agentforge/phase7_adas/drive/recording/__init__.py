"""Runs as MCAP files, and back: what sensors said, what was true, what was driven. channels.py has the format."""
