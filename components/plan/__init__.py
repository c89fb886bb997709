"""The step `plan`."""
