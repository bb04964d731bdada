"""SQL as named constants: ``schema_…`` runs in migrations, ``writing`` and ``reading`` at run time."""
