"""Tests. `make test` runs all but the slow ones."""
