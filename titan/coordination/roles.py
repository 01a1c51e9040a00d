"""The roles that an instance stands for (interfaces: leader tasks)."""

ROLES = ("cleanup-worker", "external-sync")
