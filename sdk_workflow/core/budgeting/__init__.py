"""The parts of a budget: the bound on a call's cost, the ledger in memory, the queue, the books."""
