"""Between files and a store: what `titan import`, `titan export` and `titan validate` share."""
