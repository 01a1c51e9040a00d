"""The store on PostgreSQL: equal instances over one database."""
