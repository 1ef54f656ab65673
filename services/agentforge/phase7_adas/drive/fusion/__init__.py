"""Where the ego is, and what moves around it: one error-checked ego state and a bank of tracks."""
