"""The stages of a job: each makes one record from the one before and a few services."""
