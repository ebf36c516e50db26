"""The study: three scenarios in four modes over many seeds, the paper's claims as questions, and a screening."""
