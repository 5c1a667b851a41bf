"""From settings to parts: one module for each kind of part that a runtime is made of.

Together with `runtime` these are the only modules that name concrete transports and middleware.
"""
