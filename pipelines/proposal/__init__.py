"""From a data file to a proposed task file: what `saiki init` finds out, asks and writes."""
