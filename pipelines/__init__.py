"""Pipelines, and the command line that runs, compiles and looks after them."""
