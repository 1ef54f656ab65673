"""The model registry: names, semantic versions, aliases with their log, lineage, checks, cards, clean-up."""
