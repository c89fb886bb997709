"""The recurring pipeline: from sources to a judged candidate, and to a champion if it deserves it."""
