"""Redis, which makes things faster and is never needed: a remote that may be away at any time, for any length."""
