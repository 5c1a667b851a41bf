"""The live monitor: what a running process writes about itself, and how that is found and read."""
