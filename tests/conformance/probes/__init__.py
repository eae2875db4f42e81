"""Our own probes: what users of dramatiq rely on, observed on dramatiq's RedisBroker and on Tandem, and compared.

Each probe returns an observation, which is JSON. dramatiq's is what is expected.
"""
