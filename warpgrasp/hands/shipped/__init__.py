"""The shipped hands, one folder each."""
