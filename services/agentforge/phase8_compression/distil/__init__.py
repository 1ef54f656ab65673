"""Students: new, smaller models that learn what a teacher says of the same text."""
