"""Models that other tools trained, as packages of ours."""
