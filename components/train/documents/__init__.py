"""The function that a linear model serves, written down in the standards that other systems read."""
