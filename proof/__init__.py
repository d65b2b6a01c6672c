"""What is promised, shown under faults: the crash matrix and the chaos run. `docs/proof.md` says how to read them."""
