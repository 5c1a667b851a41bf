"""The parts of the response cache beside its tiers: keys, rules, stored replies, files, counts."""
