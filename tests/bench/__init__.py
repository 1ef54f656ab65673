"""`make bench`: the frame's figures, measured on this machine, kept as JSON under bench/. Never part of a test."""
