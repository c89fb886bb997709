"""The step `conclude`."""
