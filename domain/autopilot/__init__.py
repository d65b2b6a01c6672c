"""The autopilot's decision: facts and a time in, a decision with its reason and figures out. Pure.

`policy` holds what an owner allows, `pool_records` and `pool_supply` what was observed of pools. `appraisal` turns it
into an expected cost per hour. `server_decision` decides for one server, `replica_decision` about its replica,
`fleet_decision` for a client's servers within limits on crowding; `fleet_evaluation` is one pass over all clients.
`policy_gates` says which decisions may be acted on now.

Times are hours since any fixed moment, the same for all; money is USD.
"""
