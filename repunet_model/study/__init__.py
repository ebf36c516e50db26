"""The study: the three scenarios in the four modes over many seeds, the paper's claims as questions, a screening."""
