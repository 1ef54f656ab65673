"""What evolution does to whole models. Each operator is a pure function: its inputs stay as they are."""
