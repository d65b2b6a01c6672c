"""The autopilot's records: decisions, what they are made of, backtests, and the forecast models it uses."""
