"""The processes of one yard on one machine: real Postgres and Valkey out of wheels, and a supervisor for all of them.

Nothing in here imports a model: it must run before there is a database.
"""
