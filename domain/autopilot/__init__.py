"""The autopilot's decision: facts and a time in, a decision with its reason and figures out. Pure.

What an owner allows is in `policy`; what was observed of pools in `pool_supply`, `reliability` and `price_record`.
`appraisal` makes an expected cost per hour of it, `server_decision` decides for one server, `replica_decision` about
its replica, `fleet_decision` for many at once within limits on crowding. `policy_gates` says what may be acted on now.

Times are hours since any fixed moment, the same for all; money is USD.
"""
