"""The step `push`."""
