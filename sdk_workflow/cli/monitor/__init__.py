"""How the monitor looks, and what its keys do; what it shows comes from `sdk_workflow.monitor`."""
