"""The lab: a real ERP, shops with tills, live synchronisation and faults, all on loopback.

The ERP is Tryton, an independent program that runs in processes of its own and is spoken to only over its RPC.
"""
