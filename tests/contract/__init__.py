"""What every phase must pass. AGENTFORGE_PIPELINE=my.pipeline pytest tests/contract runs it over other phases."""
