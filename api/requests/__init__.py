"""From a request to an operation, an adoption, a plan or a backtest: checked here before any work begins."""
