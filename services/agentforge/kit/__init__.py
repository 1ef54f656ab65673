"""What every phase stands on: contract, run directory, events, artifacts, errors, measurements. No torch here."""
