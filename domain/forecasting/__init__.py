"""Forecasts of risk and price per pool: the interface of a forecaster, its features, how a forecast is checked."""
