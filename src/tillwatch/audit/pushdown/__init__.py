"""Comparing where the rows are: both databases hash their rows or write them as text, and only what differs is read.

elements    what every dialect must say of a column: a text that stands for its value, and when it does not
postgresql, mysql, sqlite   the rule table of each dialect
sqlserver, oracle   the same, compiled and linted, never run
compiled    one row of one side as SQL
keys        the key as SQL, its order, and whether its rows can be asked for again
prepare     from two open sessions to two sides that give the same sums
pair        both sides at once, under the audit's deadline
statements  the SELECTs: one pass of sums, the same in ranges of the key, and lists of single hashes
handshake   proves on the live server that the texts mean what the reference (audit/canonical.py) means
asking      what the strategies share: sessions that agree, and what becomes of the keys they find
digest      the strategy that sums
records     the strategy that matches texts; scroll reads them in cells, streams both sides at once, unmatched and
            matching find those without an equal
parts       sums over some buckets, or over what says it changed, for audits that were proven before

A text need not be the canonical text itself. It must determine it: canonical(text) == canonical(value) for every value
it stands for. Equal texts on both sides are then equal values, whatever differs is compared by the reference, and a
report is the same as if every row had been read here.
"""
