"""The report of a candidate: one page for a person who must say yes or no."""
