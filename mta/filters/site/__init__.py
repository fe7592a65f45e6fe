"""The kinds of site filters, one file each (`mta.filters.registry` knows them by name)."""
