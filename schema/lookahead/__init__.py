"""Look-ahead: a root field with all that is asked below it, read and written as JSON by one statement of PostgreSQL.

A root field bound with `cut` or `select` is answered so where everything below it is a column, a value with its twin in
SQL, or a relation with an `each` or an `among`. What is not is answered by the compiled plan, and whatever goes wrong
by the reference. The caller's scope is in the statement, the walls are in the statement, and who may not ask gets
neither.
"""

from schema.lookahead.answer import LookAhead

__all__ = ["LookAhead"]
