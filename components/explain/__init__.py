"""The step `explain`."""
