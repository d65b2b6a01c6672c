"""How the database is reached: sessions, migrations, waiting for it, pages and bulk writes."""
