"""Tokens, money, checkpoints and sessions: each manager keeps one kind of truth and knows no other."""
