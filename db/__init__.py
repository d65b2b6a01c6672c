"""The records in MySQL.

engine          how the database is reached: sessions, the schema, waiting for it, pages, many rows at once
tables          the tables; migrations: how they came to be
clients         clients, tokens, sign-ins, the audit
fleet           servers, instances, agents, operations; the fleet page's query, a server's timeline
event_log       events: `writing` numbers and writes them, `reading` finds them
autopilot       decisions, experiences, backtests, forecast models
market          prices in three tiers, pools, scores, what happened in pools
savings         the ledger of savings
webhooks        who wants which events, deliveries, their log
reconciliation  findings: differences between EC2 and the ledger
status          counts and checks over everything

What reads for somebody takes a client ID that limits it to that client's rows; None is an admin, who sees all.
"""
