"""From settings to parts: one module for each kind of part that a runtime is made of."""
