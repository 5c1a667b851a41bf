"""Parts of the prompt-cache optimiser: reading a call, deciding, placing, watching, explaining."""
