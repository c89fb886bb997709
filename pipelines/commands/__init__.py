"""The commands of `saiki`, one module each."""
