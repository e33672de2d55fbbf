"""In which order a PostgreSQL column really is.

A database, or a collation, may be ordered by ICU and still name a collation of the C library that orders nothing.
"""

#: The name of the C library's collation that orders a column, or `other`. Of pg_collation c and pg_database d; asked
#: through JSON, for servers before 15 have no such column and always use the C library.
POSTGRESQL_ORDER = (
    "CASE WHEN c.collname = 'default'"
    " THEN CASE WHEN COALESCE(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' THEN d.datcollate ELSE 'other' END"
    " ELSE CASE WHEN c.collprovider = 'c' THEN c.collcollate ELSE 'other' END END"
)
