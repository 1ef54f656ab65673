"""Generated from proto/agentforge/v1 by `make proto`; never edited by hand."""
