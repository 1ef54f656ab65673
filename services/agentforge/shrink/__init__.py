"""Making a model smaller: what of it matters least, cutting that away, and healing what is left."""
