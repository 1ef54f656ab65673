"""Tools that models call: what they are, how calls are run and bounded, what is told of them. No torch in here."""
