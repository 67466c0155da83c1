"""Where conversations are kept: one protocol, SQLite locally, DynamoDB on AWS."""
