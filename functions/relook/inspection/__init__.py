"""One image's way from an upload event to a record and an event, one file per step."""
