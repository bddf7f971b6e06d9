"""The sales of a department by country, as JSON: a query that takes long. For examples/sql.toml.

Run it alone to see its answer: python3 examples/sql.py books
"""
import json
import sqlite3
import sys

# A table made of numbers takes the place of yours: a million sales, without an index.
SALES = """
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 1000000)
    SELECT CASE n % 3 WHEN 0 THEN 'books' WHEN 1 THEN 'music' ELSE 'films' END AS department,
           CASE n % 4 WHEN 0 THEN 'DE' WHEN 1 THEN 'FR' WHEN 2 THEN 'IT' ELSE 'PL' END AS country,
           n % 100 AS euros
    FROM number
"""
QUERY = f"SELECT country, sum(euros) FROM ({SALES}) WHERE department = ? GROUP BY country ORDER BY country"

with sqlite3.connect(":memory:") as database:
    print(json.dumps(dict(database.execute(QUERY, [sys.argv[1]]).fetchall())))
