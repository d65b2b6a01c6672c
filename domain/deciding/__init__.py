"""The decision policy: facts and a time in, a decision with its reason and figures out. Pure.

`reliability` and `pricing` keep what was observed of each pool, one update at a time; `appraisal`
turns it into an expected cost per hour for servers of one kind; `experience` keeps how well such
appraisals foresaw losses, and says how cautious to be; `policy` decides for one server, `replica`
about its replica, `fleet` for many at once, within limits on crowding.

Times are hours since any fixed moment, the same for all; money is USD.
"""
