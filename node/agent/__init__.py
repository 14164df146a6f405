"""The daemon: supervisor, lanes, the stages of a job, drain and pause."""
