"""Tables, pictures and pages of runs."""
