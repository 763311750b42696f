"""What bodies are, in requests and in answers."""

JSON = "application/json"
NDJSON = "application/x-ndjson"
