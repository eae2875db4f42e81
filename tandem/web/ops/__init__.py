"""The operations page: what queues and workers do, and what an operator can do about it.

Server-rendered; everything can be read without JavaScript, which only keeps the page up to date.
"""
