"""Everything that runs, on one machine: database, Temporal, lab, API, workers, started and stopped together."""
