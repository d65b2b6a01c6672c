"""The decision policy: facts and a time in, a decision with its reason and figures out. Pure.

`reliability` and `pricing` keep what was observed of each pool, one update at a time; `appraisal`
turns it into an expected cost per hour for servers of one kind; `policy` decides for one server;
`guard` stops the policy from losing money in a market where spot does not pay.

Times are hours since any fixed moment, the same for all; money is USD.
"""
