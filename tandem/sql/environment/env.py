"""Alembic's environment for all histories: connection, tables and version table come from tandem.sql.migrations."""

from alembic import context

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=given["metadata"],
    version_table=given["version_table"],
    # Other workloads have tables in the same database: nothing is dropped because it is unknown here.
    include_object=lambda _object, _name, _kind, reflected, compare_to: not (reflected and compare_to is None),
    render_as_batch=given["connection"].dialect.name == "sqlite",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
