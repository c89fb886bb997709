"""The trainers that the suite ships, by name."""
