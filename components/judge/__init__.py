"""The step `judge`."""
