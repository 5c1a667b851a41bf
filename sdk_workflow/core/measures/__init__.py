"""The parts of the metrics engine: histograms, windows, bounded labels, loops, and what shows them."""
