"""What demo, crash matrix, chaos, benchmarks and tests share to drive and observe a stack. It imports no test."""
