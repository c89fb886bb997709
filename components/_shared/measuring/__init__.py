"""Figures of predictions: the rows that judge, their metrics, and how sure these are."""
