"""The step `smoke_test`."""
