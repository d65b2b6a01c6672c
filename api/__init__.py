"""The REST API.

app, services      the application, and what its routes work with; __main__ puts both together
routes             one module for each resource: what may be called, by whom, with which answers
views              the documents of requests and answers, as OpenAPI shows them
access             who calls: tokens, cookies, instance identities; `authentication` checks them
requests           from a request to an operation, an adoption, a plan or a backtest
screens            documents made of many records: the fleet page, a server's timeline
temporal           every call to Temporal, and what its errors mean
streams            server-sent events
http               headers, limits, problems, the request log, the dashboard's files
background         tasks that run as long as the process
"""
