"""The console: what the account's own tables and buckets hold, as pages on a person's own machine."""
