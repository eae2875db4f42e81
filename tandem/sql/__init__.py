"""SQL for workloads: a transaction for each message and each request, messages that are sent if it commits, migrations.

    from tandem.sql import session

    @dramatiq.actor(once=True)
    def pay(invoice_id):
        session().get(Invoice, invoice_id).paid = True
        thank.send(invoice_id)          # sent after the commit; never, if it does not come to that

A workload asks for it with `Workload(database=Database(…))`. Needs the extra `sql` of the package, and a driver.
"""

from tandem.sql.errors import DatabaseUnavailable, NoTransaction
from tandem.sql.unit_of_work import session, transaction

__all__ = ["DatabaseUnavailable", "NoTransaction", "session", "transaction"]
