"""The parts of the semantic cache: the guard, the labels, the stored texts and what a lookup says."""
