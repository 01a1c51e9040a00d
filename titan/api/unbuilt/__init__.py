"""Rows of official operations without a handler yet. Building one moves its row to the file of its interface."""
