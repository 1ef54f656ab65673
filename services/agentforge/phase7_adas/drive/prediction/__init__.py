"""Where each track may go in the next four seconds: by an IMM, or by a language model over motion tokens."""
