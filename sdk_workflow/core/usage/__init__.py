"""The parts of the token manager: tokens are checked, added up, timed and extrapolated here."""
