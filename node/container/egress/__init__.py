"""What a job's packets may reach, and what they came to."""
