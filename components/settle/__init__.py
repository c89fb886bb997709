"""Settles the promises of earlier decisions on the rows that came after them."""
