"""A question for cards and trials."""

QUESTION = "Q: 25 + 17 = A:"
