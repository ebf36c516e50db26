"""One run read: tables of measures, a step or an agent in words, what calls waited for, interviews."""
