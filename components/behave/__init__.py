"""The step `behave`."""
