"""Recipes: how to talk to one kind of third party, as text."""
