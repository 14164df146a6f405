"""Remote data that a job finds mounted: S3, Hugging Face, Ollama; fetched in a helper process, kept in a cache."""
