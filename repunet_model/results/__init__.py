"""Results of one run: tables of measures, steps and agents as text, dependencies of calls, interviews."""
