"""What was shown of the driving pipeline, and what was not."""
