"""What can be set, part by part."""
