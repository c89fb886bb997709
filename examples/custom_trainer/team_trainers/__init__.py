"""Trainers of a team of its own, in an image built FROM Saiki's."""
