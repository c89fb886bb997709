"""The step `split`."""
