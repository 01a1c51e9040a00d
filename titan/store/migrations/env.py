"""What alembic runs: one transaction around all steps, `titan_schema` kept beside alembic's own table."""

from alembic import context

from titan.store.migrations.runner import note_schema

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,
    on_version_apply=note_schema(context.script),
)
with context.begin_transaction():
    context.run_migrations()
