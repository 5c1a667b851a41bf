"""The parts of the structured log: levels, values, lines, the file they go to, and who else listens."""
