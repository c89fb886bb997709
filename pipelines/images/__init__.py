"""Builds, pushes and pins the images."""
